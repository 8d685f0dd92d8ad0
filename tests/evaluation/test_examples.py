"""Arrays for figures, of every variant in params.yaml."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core import arrays
from pipeline.dataset.batches import ResidentLoader
from pipeline.dataset.split import Split
from pipeline.evaluation import examples
from pipeline.metrics.config import EvaluateConfig
from tests.evaluation import test_transfer
from tests.models.test_contract import PARAMS, VARIANTS, model_of

CPU = torch.device("cpu")
LABELS = ("a", "b", "c")
SETTINGS = EvaluateConfig(samples=2, walks=2, walk_steps=4, perturbations=[2.0, 0.5])
SHOWN = np.array([1, 4, 7, 8])
ERRORS = np.array([0.5, 0.4, 0.3, 0.2, 0.1, 0.6, 0.7, 0.8, 0.9])


def split(shape: tuple[int, ...], kind: str) -> Split:
    rng = np.random.default_rng(0)
    stored = rng.uniform(-80, 0, (9, *shape)) if kind == "mel" else rng.integers(-9999, 9999, (9, *shape))
    of_kind = np.float16 if kind == "mel" else np.int16
    ids = np.arange(9)
    labels, peaks = np.repeat(LABELS, 3), np.linspace(-8, 8, 9).astype(np.float32) if kind == "mel" else None
    return Split(kind, shape, stored.astype(of_kind), ids + 100, (ids + 500).astype(str), labels, peaks)


def saved(path, model, test: Split, settings: EvaluateConfig = SETTINGS) -> tuple[pd.DataFrame, np.ndarray]:
    level = None if test.peak_db is None else 3.5
    examples.save(path / "e.parquet", model.eval(), test, SHOWN, ERRORS, level, settings, seed=7)
    table = arrays.read(path / "e.parquet")
    return table.drop_columns(["array"]).to_pandas(), arrays.unpack(table, "array")


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_shows_what_it_can(name, tmp_path):
    model, shape, kind = model_of(name, 1.0)
    test = split(shape, kind)
    frame, values = saved(tmp_path, model, test)
    assert values.dtype == np.float32 and values.shape[1:] == shape and np.isfinite(values).all()
    condition = PARAMS.models[name].condition is not None
    expected = {"original": 4, "reconstruction": 4, "extreme_original": 3, "extreme_reconstruction": 3}
    if model.latent_dims:
        expected |= {"linear": 8, "slerp": 8, "perturbed": 3, "sample": 3 if condition else 2}
    if condition:
        expected |= {"transfer": 6}
    assert frame["kind"].value_counts().to_dict() == expected
    assert set(frame["seed"]) == {7}
    if kind == "mel":
        assert frame["peak_db"].between(-8, 8).all()
    else:
        assert frame["peak_db"].isna().all()

    def of(kind: str, **where: float) -> np.ndarray:
        rows = frame["kind"] == kind
        for column, value in where.items():
            rows &= frame[column] == value
        return values[rows]

    x, label = ResidentLoader(test, CPU, model.labels).batch(torch.from_numpy(SHOWN))
    with torch.no_grad():
        again = model.reconstruct(x, label).squeeze(1).numpy()
    np.testing.assert_array_equal(of("original"), x.squeeze(1))
    np.testing.assert_allclose(of("reconstruction"), again, atol=1e-5)
    if not model.latent_dims:
        return
    close = {"atol": 1e-3, "rtol": 1e-3}
    np.testing.assert_allclose(of("perturbed", step=0)[0], again[0], **close)
    if model.bottleneck.codebook is None:  # a code may well stay where it is
        assert np.abs(of("perturbed", step=2) - again[0]).max() > np.abs(of("perturbed", step=1) - again[0]).max() > 0
    for mode in ("linear", "slerp"):
        ends = frame[(frame["kind"] == mode) & frame["step"].isin([0, 3])]
        assert ends["window_id"].tolist() == [101, 104, 101, 107]  # of labels a and b, a and c: not the two of c
        np.testing.assert_allclose(of(mode, example=0)[[0, -1]], again[:2], **close)
        np.testing.assert_allclose(of(mode, example=1)[[0, -1]], again[[0, 2]], **close)


def test_skip_connections_are_taken_along_but_by_samples(tmp_path):
    model, shape, kind = model_of("mel_conv", 1.0, network={"skip": True})
    frame, values = saved(tmp_path, model, split(shape, kind))
    rows = {name: values[frame["kind"] == name] for name in ("reconstruction", "linear", "perturbed", "sample")}
    np.testing.assert_allclose(rows["linear"][[0, 3]], rows["reconstruction"][:2], atol=1e-5)
    np.testing.assert_allclose(rows["perturbed"][0], rows["reconstruction"][0], atol=1e-5)
    assert len(rows["sample"]) == 2


def test_names_and_scales(tmp_path):
    made = test_transfer.model()
    test = split(test_transfer.SHAPE, "mel")
    frame, values = saved(tmp_path, made, test)

    def of(kind: str, *columns: str) -> list[tuple]:
        return list(frame.loc[frame["kind"] == kind, [*columns]].itertuples(index=False, name=None))

    assert of("reconstruction", "example", "window_id", "track_id", "label", "peak_db") == [
        (0, 101, "501", "a", -6.0),
        (1, 104, "504", "b", 0.0),
        (2, 107, "507", "c", 6.0),
        (3, 108, "508", "c", 8.0),
    ]
    assert of("extreme_original", "step", "scale", "window_id") == [(0, 0.1, 104), (1, 0.5, 100), (2, 0.9, 108)]
    assert of("extreme_reconstruction", "step", "window_id") == [(0, 104), (1, 100), (2, 108)]
    walk = of("linear", "example", "step", "scale", "label", "peak_db")[:4]
    third = pytest.approx(1 / 3), pytest.approx(2 / 3)
    assert walk == [
        (0, 0, 0.0, "a", -6.0),
        (0, 1, third[0], "", pytest.approx(-4)),
        (0, 2, third[1], "", pytest.approx(-2)),
        (0, 3, 1.0, "b", 0.0),
    ]
    assert of("perturbed", "step", "scale", "window_id") == [(0, 0.0, 101), (1, 0.5, 101), (2, 2.0, 101)]
    assert of("sample", "example", "label", "window_id", "peak_db") == [(i, LABELS[i], -1, 3.5) for i in range(3)]
    moved = of("transfer", "example", "step", "label", "window_id")
    assert moved[:3] == [(0, i, LABELS[i], 101) for i in range(3)]
    own = frame[frame["kind"] == "original"]["label"].tolist()
    assert [row[0] for row in moved[3:]] == [1, 2, 3]
    assert all(label != own[example] and LABELS[step] == label for example, step, label, _ in moved[3:])
    first = [values[frame["kind"] == kind][0] for kind in ("transfer", "reconstruction")]
    np.testing.assert_allclose(*first, atol=1e-6)  # under its own label


def test_nothing_asked_for_and_a_single_label(tmp_path):
    made = test_transfer.model(condition=False)
    test = split(test_transfer.SHAPE, "mel")
    none = EvaluateConfig(walks=0, perturbations=[], samples=1)
    assert set(saved(tmp_path, made, test, none)[0]["kind"]) >= {"sample", "perturbed"}
    test.labels[:] = "a"
    frame, _ = saved(tmp_path, made, test)
    assert (frame["kind"] == "linear").sum() == 8
    examples.save(tmp_path / "one.parquet", made, test, SHOWN[:1], ERRORS, None, SETTINGS, seed=0)
    assert not {"linear", "slerp"} & set(arrays.read(tmp_path / "one.parquet")["kind"].to_pylist())


def test_a_model_that_is_broken_everywhere_still_has_examples(tmp_path):
    made = test_transfer.model()
    with torch.no_grad():
        made.bottleneck.from_latent.bias.fill_(torch.nan)
    test = split(test_transfer.SHAPE, "mel")
    examples.save(tmp_path / "e.parquet", made, test, SHOWN, np.full(9, np.nan), None, SETTINGS, seed=0)
    assert np.isnan(arrays.unpack(arrays.read(tmp_path / "e.parquet"), "array")).any()
