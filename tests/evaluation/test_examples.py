"""examples.parquet of every variant in params.yaml."""

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core import arrays
from pipeline.dataset.loader import ResidentLoader
from pipeline.dataset.split import Split
from pipeline.evaluation.examples import save_examples
from pipeline.metrics.config import EvaluateConfig
from tests.evaluation.small import CPU, LABELS, SHAPE, build_model
from tests.models.variants import PARAMS, VARIANTS, make_model

CONFIG = EvaluateConfig(samples=2, walks=2, walk_steps=4, perturbations=[2.0, 0.5])
EXAMPLE_ROWS = np.array([1, 4, 7, 8])
MSE = np.array([0.5, 0.4, 0.3, 0.2, 0.1, 0.6, 0.7, 0.8, 0.9])


def split(shape: tuple[int, ...], kind: str) -> Split:
    rng = np.random.default_rng(0)
    is_mel = kind == "mel"
    stored = rng.uniform(-80, 0, (9, *shape)) if is_mel else rng.integers(-9999, 9999, (9, *shape))
    peaks = np.linspace(-8, 8, 9).astype(np.float32) if is_mel else None
    ids = np.arange(9)
    values = stored.astype(np.float16 if is_mel else np.int16)
    return Split(kind, shape, values, ids + 100, (ids + 500).astype(str), np.repeat(LABELS, 3), peaks)


def examples(
    tmp_path, model, test: Split, rows=EXAMPLE_ROWS, mse=MSE, config: EvaluateConfig = CONFIG
) -> tuple[pd.DataFrame, np.ndarray]:
    """The table and the arrays of examples.parquet."""
    peak_db = None if test.peak_db is None else 3.5
    save_examples(tmp_path / "e.parquet", model.eval(), test, rows, mse, peak_db, config)
    table = arrays.read(tmp_path / "e.parquet")
    return table.drop_columns(["array"]).to_pandas(), arrays.unpack(table, "array")


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_the_kinds_that_it_can_make(name, tmp_path):
    model, shape, kind = make_model(name)
    test = split(shape, kind)
    table, values = examples(tmp_path, model, test)
    assert values.dtype == np.float32 and values.shape[1:] == shape and np.isfinite(values).all()
    is_conditional = PARAMS.models[name].condition is not None
    expected = {"original": 4, "reconstruction": 4, "extreme_original": 3, "extreme_reconstruction": 3}
    if model.latent_dims:
        expected |= {"linear": 8, "slerp": 8, "perturbed": 3, "sample": 3 if is_conditional else 2}
    if is_conditional:
        expected |= {"transfer": 6}
    assert table["kind"].value_counts().to_dict() == expected
    assert table["peak_db"].between(-8, 8).all() if kind == "mel" else table["peak_db"].isna().all()

    def select(kind: str, **columns: float) -> np.ndarray:
        rows = table["kind"] == kind
        for column, value in columns.items():
            rows &= table[column] == value
        return values[rows]

    x, label = ResidentLoader(test, CPU, model.labels).batch(torch.from_numpy(EXAMPLE_ROWS))
    with torch.no_grad():
        reconstructed = model.reconstruct(x, label).squeeze(1).numpy()
    np.testing.assert_array_equal(select("original"), x.squeeze(1))
    np.testing.assert_allclose(select("reconstruction"), reconstructed, atol=1e-5)
    if not model.latent_dims:
        return
    close = {"atol": 1e-3, "rtol": 1e-3}
    np.testing.assert_allclose(select("perturbed", step=0)[0], reconstructed[0], **close)
    if model.bottleneck.codebook_size is None:  # a perturbed latent may keep its code
        changes = [np.abs(select("perturbed", step=step) - reconstructed[0]).max() for step in (1, 2)]
        assert changes[1] > changes[0] > 0
    for mode in ("linear", "slerp"):
        ends = table[(table["kind"] == mode) & table["step"].isin([0, 3])]
        assert ends["window_id"].tolist() == [101, 104, 101, 107]  # labels a and b, a and c; not c and c
        np.testing.assert_allclose(select(mode, example=0)[[0, -1]], reconstructed[:2], **close)
        np.testing.assert_allclose(select(mode, example=1)[[0, -1]], reconstructed[[0, 2]], **close)


def test_all_kinds_but_samples_use_skip_connections(tmp_path):
    network = {"skip": True, "components": None, "channels": [4, 8], "strides": 4}
    model, shape, kind = make_model("mel_conv", network)
    table, values = examples(tmp_path, model, split(shape, kind))
    rows = {name: values[table["kind"] == name] for name in ("reconstruction", "linear", "perturbed", "sample")}
    np.testing.assert_allclose(rows["linear"][[0, 3]], rows["reconstruction"][:2], atol=1e-5)
    np.testing.assert_allclose(rows["perturbed"][0], rows["reconstruction"][0], atol=1e-5)
    assert len(rows["sample"]) == 2


def test_names_and_scales(tmp_path):
    table, values = examples(tmp_path, build_model(), split(SHAPE, "mel"))

    def select(kind: str, *columns: str) -> list[tuple]:
        return list(table.loc[table["kind"] == kind, [*columns]].itertuples(index=False, name=None))

    assert select("reconstruction", "example", "window_id", "track_id", "label", "peak_db") == [
        (0, 101, "501", "a", -6.0),
        (1, 104, "504", "b", 0.0),
        (2, 107, "507", "c", 6.0),
        (3, 108, "508", "c", 8.0),
    ]
    assert select("extreme_original", "step", "scale", "window_id") == [(0, 0.1, 104), (1, 0.5, 100), (2, 0.9, 108)]
    assert select("extreme_reconstruction", "step", "window_id") == [(0, 104), (1, 100), (2, 108)]
    assert select("linear", "example", "step", "scale", "label", "peak_db")[:4] == [
        (0, 0, 0.0, "a", -6.0),
        (0, 1, pytest.approx(1 / 3), "", pytest.approx(-4)),
        (0, 2, pytest.approx(2 / 3), "", pytest.approx(-2)),
        (0, 3, 1.0, "b", 0.0),
    ]
    assert select("perturbed", "step", "scale", "window_id") == [(0, 0.0, 101), (1, 0.5, 101), (2, 2.0, 101)]
    assert select("sample", "example", "label", "window_id", "peak_db") == [(i, LABELS[i], -1, 3.5) for i in range(3)]
    transfers = select("transfer", "example", "step", "label", "window_id")
    assert transfers[:3] == [(0, i, LABELS[i], 101) for i in range(3)]
    assert [row[0] for row in transfers[3:]] == [1, 2, 3]
    original_labels = table[table["kind"] == "original"]["label"].tolist()
    for example, step, label, _ in transfers[3:]:
        assert label != original_labels[example] and LABELS[step] == label
    first = [values[table["kind"] == kind][0] for kind in ("transfer", "reconstruction")]
    np.testing.assert_allclose(*first, atol=1e-6)  # the first transfer is to its own label


def test_no_walks_one_label_or_one_example(tmp_path):
    model, test = build_model(condition=False), split(SHAPE, "mel")
    config = EvaluateConfig(walks=0, perturbations=[], samples=1)
    assert set(examples(tmp_path, model, test, config=config)[0]["kind"]) >= {"sample", "perturbed"}
    test.labels[:] = "a"
    assert (examples(tmp_path, model, test)[0]["kind"] == "linear").sum() == 8
    assert not {"linear", "slerp"} & set(examples(tmp_path, model, test, rows=EXAMPLE_ROWS[:1])[0]["kind"])


def test_nan_model_still_has_examples(tmp_path):
    model = build_model()
    with torch.no_grad():
        model.bottleneck.from_latent.bias.fill_(torch.nan)
    assert np.isnan(examples(tmp_path, model, split(SHAPE, "mel"), mse=np.full(9, np.nan))[1]).any()
