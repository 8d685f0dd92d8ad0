"""Every architecture of params.yaml through all stages, on tiny data, with its own widths and one epoch."""

import json
import math
import sys

import pandas as pd
import pytest
import yaml

from pipeline.core import arrays
from tests.e2e.conftest import ROOT, TINY, clone

pytestmark = pytest.mark.e2e

MODELS = yaml.safe_load((ROOT / "params.yaml").read_text())["models"]
VARIANTS = [name for name in MODELS if name not in ("mel_mse", "mel_conv")]  # they share the architecture of mel_elbo

# In one process: importing the libraries takes longer than running the stages.
RUN = """
import sys
from stages import cache, download, evaluate, figures, reference, report, train, windows
download.main()
windows.main()
for representation in ("mel128", "wave3k", "wave22k"):
    cache.main(representation)
reference.main()
for name in sys.argv[1:]:
    for stage in (train, evaluate, figures):
        stage.main(name)
report.main()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    small = {key: value for key, value in TINY.items() if key != "models"}
    small |= {"evaluate": TINY["evaluate"] | {"examples": 1}}  # drawing takes longest
    # Long enough for two positions of each network.
    small["representations"] = TINY["representations"] | {"wave3k": {"sample_rate": 2000}}
    project = clone(tmp_path_factory.mktemp("variants"), small, VARIANTS)
    project.set({"models": {name: {"train": {"epochs": 1}} for name in VARIANTS if "loss" in MODELS[name]}})
    project.run(sys.executable, "-c", RUN, *VARIANTS)
    return project


@pytest.mark.parametrize("name", VARIANTS)
def test_it_is_trained_scored_and_drawn(project, name):
    data = project.path / "data"
    metrics = json.loads((data / "evaluation" / name / "metrics.json").read_text())
    windows = pd.read_parquet(data / "evaluation" / name / "windows.parquet")
    assert metrics["mse"] == pytest.approx(windows.groupby("track_id")["mse"].mean().mean())
    assert math.isfinite(metrics["cosine_similarity"]) and len(windows) == metrics["windows"]
    latents = arrays.unpack(arrays.read(data / "evaluation" / name / "latents.parquet"), "latent")
    assert latents.shape == (len(windows), metrics["latent_dims"])
    assert metrics["frechet_reconstructions"] >= 0 and metrics["frechet_floor"] > 0
    kinds = set(arrays.read(data / "evaluation" / name / "examples.parquet")["kind"].to_pylist())
    bottleneck = MODELS[name]["bottleneck"]["type"]
    assert (metrics["mse_components"] is not None) == (bottleneck in ("gaussian", "hierarchical"))
    tables = {table for table in ("dimensions", "codes") if (data / "evaluation" / name / f"{table}.parquet").exists()}
    assert tables == {"linear": set(), "vq": {"codes"}, "fsq": {"codes"}}.get(bottleneck, {"dimensions"})
    if metrics["latent_dims"]:
        assert {"extreme_reconstruction", "perturbed", "sample"} < kinds and metrics["frechet_samples"] > 0
        assert 0 <= metrics["probe_accuracy"] <= 1
    listed = json.loads((data / "figures" / name / "figures.json").read_text())
    kinds = {"image", "audio"} | ({"animation"} if "loss" in MODELS[name] else set())  # a baseline has no epochs
    assert kinds == {entry["kind"] for entry in listed}
    assert all((data / "figures" / name / entry["file"]).stat().st_size > 0 for entry in listed)


def test_the_report_has_a_row_for_each(project):
    table = pd.read_csv(project.path / "data" / "report" / "comparison.csv")
    trained = table[table["role"].isin(["variant", "baseline"])]
    assert trained["variant"].tolist() == VARIANTS and (trained["evaluated"] == 1).all()
    assert (table["role"] == "ceiling").sum() == 3  # one per representation
    assert (table["role"] == "codec").sum() == 4
