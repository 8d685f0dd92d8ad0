"""Score a variant on the test split: data/evaluation/<variant>/."""

import sys

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from pipeline.audio.representation import RepresentationConfig
from pipeline.core import arrays, workspace
from pipeline.core.distributed import pick_device
from pipeline.core.params import RuntimeConfig, read_params, read_section
from pipeline.dataset.split import read_split, read_stats
from pipeline.evaluation import (
    examples,
    frechet,
    interpolation,
    pca_curve,
    peak_normalised_mel,
    prior_samples,
    probe,
    reconstruction,
    summary,
    transfer,
)
from pipeline.metrics import embedding
from pipeline.metrics.config import EvaluateConfig
from pipeline.models import store
from pipeline.reference.common_scores import CommonScorer
from pipeline.reference.read import read_reference
from pipeline.tracking import datasets, names
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from pipeline.training.config import check_trained, seeds, variant, weight_settings
from stages import run

REGISTERED = ("mse", "mel_mse", "cosine_similarity", "kl", "probe_accuracy", "parameters")  # tags of a version


def main(name: str) -> None:
    """Write data/evaluation/<name>."""
    raw = read_params()
    settings = read_section(EvaluateConfig, "evaluate", raw=raw)
    device = pick_device(read_section(RuntimeConfig, "runtime", raw=raw).device)
    wanted = weight_settings(*variant(raw, name))
    data = workspace.CACHE / wanted["input"]
    splits = {split: read_split(data, split) for split in ("train", "valid", "test")}
    train, valid, test = splits.values()
    stats = read_stats(data)
    representation = TypeAdapter(RepresentationConfig).validate_python(stats["representation"])
    original = read_reference(workspace.REFERENCE, test)
    plain = original.score_table()
    tracks = plain["track_id"].to_numpy(), plain["group"].to_numpy()
    predictors = reconstruction.baselines(train, test, settings.batch_size)
    chosen = workspace.fingerprint(settings.model_dump() | {"mel": original.mel_config.model_dump()})
    sources = datasets.describe(data, stats, splits)
    tested = sources[-1]
    tracking = read_section(TrackingConfig, "tracking", raw=raw)
    embed = embedding.load(settings.embedding, original.mel_config.sample_rate)
    to_mel, size = peak_normalised_mel.to_mel(original.mel_config, representation), settings.batch_size
    # For each seed: a row per window, other tables, latents, a few numbers, and where MLflow has it.
    rows: list[pd.DataFrame] = []
    tables: dict[str, list[pd.DataFrame]] = {}
    latents, numbers, runs, results = [], [], [], []
    with workspace.output(workspace.EVALUATION / name) as out:
        for seed in seeds(raw):
            trained = workspace.MODELS / name / f"seed-{seed}"
            identity = workspace.read_json(trained / "run.json")
            model, described = store.load(trained)
            check_trained(trained, described, wanted)
            with record(tracking, "evaluate", identity, chosen) as run:
                run.trained(trained)
                run.datasets(sources)
                if not rows:  # one seed's is enough, and logged while it is evaluated
                    run.model(name, trained)
                shared = CommonScorer(original, representation, stats["seconds"], settings.griffin_lim_iterations)
                scores = reconstruction.score(model.to(device), test, valid, shared, size, device)
                probed = probe.score(model, train, test, size, device, scores.latents)
                moved = transfer.score(model, train, test, size, device)
                of_windows = scores.windows | probed.windows | moved.windows
                of_seed = {
                    "seed": seed,
                    **scores.use,
                    **scores.space.numbers,
                    **probed.numbers,
                    **frechet.score(model, train, test, to_mel, size, device),
                    **embedding.score(embed, scores.audio, original.audio),
                    **interpolation.score(model, test, to_mel, settings.walk_steps, device),
                    **prior_samples.score(model, test, size, device),
                    **moved.numbers,
                }
                frame = pd.DataFrame({"seed": seed, **plain, **of_windows, **predictors})
                if not rows:  # what is shown is the first seed's
                    level = None if valid.peak_db is None else float(np.median(valid.peak_db))
                    shown = original.example_rows, scores.windows["mse"], level
                    examples.save(out / "examples.parquet", model.cpu(), test, *shown, settings, seed)
                    original.write_examples(out / "audio.parquet", scores.audio, kind="reconstruction")
                    workspace.write_json(out / "config.json", described)
                    if model.bottleneck.baseline:
                        every = pca_curve.table(pca_curve.errors(scores, test), *tracks, settings.bootstrap)
                        every.to_parquet(out / "sizes.parquet", index=False)
                about = {key: described[key] for key in ("latent_dims", "parameters")}
                about |= {"baseline": model.bottleneck.baseline, "reach_hz": shared.bands.reach_hz}
                alone = summary.metrics(frame, [of_seed], about, settings.bootstrap)
                outcome = {
                    "params": {"evaluate": settings.model_dump(exclude_defaults=True)},
                    "metrics": names.of_test(alone),
                    "tracks": summary.tracks(frame),
                    "dataset": {"dataset_name": tested["name"], "dataset_digest": tested["digest"]},
                    "tags": {
                        "evaluation": chosen,
                        "collapsed": alone["collapse_reason"] or "no",
                        "samples_flat": alone["samples_flat_reason"] or "no",
                    },
                }
                run.evaluated(outcome, is_new=True)
                if tracking.register and not rows:
                    known = {f"test/{key}": f"{alone[key]:.6g}" for key in REGISTERED if alone.get(key) is not None}
                    run.register(name, {**known, "evaluation": chosen, "test_data": tested["digest"]})
                results.append({"seed": seed, **outcome})
            rows.append(frame)
            of_bands = shared.bands.table(scores.errors, original.mean_error, tracks[0])
            for table, found in {"bands": of_bands, **scores.space.tables}.items():
                tables.setdefault(table, []).append(found.assign(seed=seed))
            latents.append(scores.latents)
            numbers.append(of_seed)
            runs.append(run.identity)
        whole = pd.concat(rows, ignore_index=True)
        whole.drop(columns=[*predictors, "mel_mse_mean"]).to_parquet(out / "windows.parquet", index=False)
        for table, parts in tables.items():
            pd.concat(parts).to_parquet(out / f"{table}.parquet", index=False)
        keys = {key: whole[key].to_numpy() for key in ("seed", "window_id", "track_id", "label")}
        arrays.write(out / "latents.parquet", keys, {"latent": np.concatenate(latents)})
        result = summary.metrics(whole, numbers, about, settings.bootstrap)
        workspace.write_json(out / "metrics.json", result)
        workspace.write_json(out / "run.json", runs)
        workspace.write_json(out / "results.json", results)
    workspace.say(f"{name}: {summary.line(result)}")


if __name__ == "__main__":
    run(main, *sys.argv[1:])
