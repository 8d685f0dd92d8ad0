"""Score a variant on the test split: data/evaluation/<variant>/."""

import sys
from typing import Any

import numpy as np
import pandas as pd

from pipeline import workspace
from pipeline.cache import arrays
from pipeline.cache.reader import read_split
from pipeline.evaluation import examples, generation, protocol, sizes, summary, transfer
from pipeline.evaluation.config import EvaluateConfig
from pipeline.models import store
from pipeline.params import entry, read, section
from pipeline.runtime import RuntimeConfig
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.run import record
from pipeline.training.config import seeds
from pipeline.training.device import pick


def main(name: str) -> None:
    """Write data/evaluation/<name>."""
    raw = read()
    representation = entry(raw, "models", name)["representation"]
    settings = section(EvaluateConfig, "evaluate")
    device = pick(section(RuntimeConfig, "runtime").device)
    data = workspace.CACHE / representation
    train, valid, test = (read_split(data, split) for split in ("train", "valid", "test"))
    plain = {"window_id": test.window_ids, "track_id": test.track_ids, "label": test.labels}
    reference = protocol.baselines(train, test, settings.batch_size)
    chosen = workspace.fingerprint(settings.model_dump())
    rows: list[pd.DataFrame] = []
    latents, found, runs = [], [], []
    with workspace.output(workspace.EVALUATION / name) as out:
        for seed in seeds(raw):
            trained = workspace.MODELS / name / f"seed-{seed}"
            identity = workspace.read_json(trained / "run.json")
            with record(section(TrackingConfig, "tracking"), "evaluate", identity, chosen) as run:
                model, described = store.load(trained)
                scores = protocol.score(model.to(device), test, valid, settings.batch_size, device)
                numbers = {
                    "seed": seed,
                    **scores.use,
                    **generation.score(model, test, settings.batch_size, device),
                    **transfer.score(model, train, test, settings.batch_size, device),
                }
                frame = pd.DataFrame({"seed": seed, **plain, **scores.windows, **reference})
                if not rows:  # what is shown is the first seed's
                    level = None if valid.peak_db is None else float(np.median(valid.peak_db))
                    number = settings.examples, settings.samples
                    examples.save(out / "examples.parquet", model.cpu(), test, level, *number, seed)
                    workspace.write_json(out / "config.json", described)
                    if model.bottleneck.baseline:
                        every = sizes.table(sizes.errors(scores, test), test.track_ids, settings.bootstrap)
                        every.to_parquet(out / "sizes.parquet", index=False)
                about = described["latent_dims"], described["parameters"], settings.bootstrap, model.bottleneck.baseline
                alone = summary.metrics(frame, [numbers], *about)
                run.params({"evaluate": settings.model_dump()})
                run.metrics({f"test.{k}": v for k, v in alone.items() if isinstance(v, int | float)})
                run.tag("collapsed", alone["collapse_reason"] or "no")
                run.tag("samples_flat", alone["samples_flat_reason"] or "no")
            rows.append(frame)
            latents.append(scores.latents)
            found.append(numbers)
            runs.append(run.identity)
        whole = pd.concat(rows, ignore_index=True)
        result = summary.metrics(whole, found, *about)
        whole.drop(columns=list(reference)).to_parquet(out / "windows.parquet", index=False)
        keys = {key: whole[key].to_numpy() for key in ("seed", *plain)}
        arrays.write(out / "latents.parquet", keys, {"latent": np.concatenate(latents)})
        workspace.write_json(out / "metrics.json", result)
        workspace.write_json(out / "run.json", runs)
    workspace.say(f"{name}: {_told(result)}")


def _told(result: dict[str, Any]) -> str:
    """metrics.json in a line."""
    parts = [
        f"test mse {result['mse']:.5f} (train mean {result['mse_mean']:.5f}, zero {result['mse_zero']:.5f})",
        f"cosine {result['cosine_similarity']:.3f}",
    ]
    if result["kl"] is not None:
        parts.append(f"kl {result['kl']:.1f} nats")
    if result["perplexity"] is not None:
        parts.append(f"perplexity {result['perplexity_share']:.0%} of the codebook")
    elif result["active_units"] is not None:
        parts.append(f"{result['active_units']:g} of {result['latent_dims']} units active")
    if result["transfer_accuracy"] is not None:
        parts.append(f"transfer {result['transfer_accuracy']:.0%} (chance {result['transfer_chance']:.0%})")
    collapsed = f"; COLLAPSED: {result['collapse_reason']}" if result["collapsed"] else ""
    flat = f"; SAMPLES FLAT: {result['samples_flat_reason']}" if result["samples_flat"] else ""
    return ", ".join(parts) + collapsed + flat


if __name__ == "__main__":
    workspace.run(main, *sys.argv[1:])
