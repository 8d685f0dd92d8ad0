"""Read out of features of windows what the data know: label, key, instrument and tempo. Probes learn train windows."""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.core import workspace
from pipeline.core.errors import DataError
from pipeline.dataset.batches import WindowLoader
from pipeline.dataset.sampler import evenly_spaced
from pipeline.dataset.split import Split

FACTS = ("tempo", "key", "instrument")  # columns of tracks.parquet, null where the source does not know them
CLASSES = {"label": "probe_accuracy", "key": "probe_key_accuracy", "instrument": "probe_instrument_accuracy"}
CHANCES = {"label": "chance", "key": "chance_key", "instrument": "chance_instrument"}
LINEAR_PROBES = (*CLASSES.values(), "probe_tempo_r2")
SCORES = (*LINEAR_PROBES, "knn_accuracy", "silhouette")
MAX_TRAIN_WINDOWS = 4000
NEIGHBOURS = 5
MAX_ITERATIONS = 1000  # of the logistic regression
FOLDS = 50  # of the groups; more groups share folds
PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # of the ridge regression
RANK_TOLERANCE = 1e-12  # relative to the largest variance; below it, rounding decides a direction
FRAME = 256  # samples, of a waveform's spectra; the hop is half a frame
MIN_POWER = 1e-6  # so that silence has a logarithm


class Rows(NamedTuple):
    """Windows as a probe gets them."""

    features: np.ndarray  # (windows, D)
    known: pd.DataFrame  # track_id, group, label, tempo, key and instrument of each window


class ProbeScores(NamedTuple):
    """What the probes read out."""

    windows: dict[str, np.ndarray]  # metric -> (test windows,); NaN if not scored
    numbers: dict[str, float | None]  # metrics of the whole test split


def known_facts(split: Split, tracks: pd.DataFrame) -> pd.DataFrame:
    """track_id, group, label, tempo, key and instrument of each row of `split`; `tracks` is tracks.parquet.

    DataError if `tracks` lacks a recording.
    """
    table = tracks.set_index("track_id")
    if missing := set(split.track_ids) - set(table.index):
        path = workspace.RAW / "tracks.parquet"
        raise DataError(f"{path}: lacks '{min(missing)}', which the cache has; run `dvc repro`")
    return table.loc[split.track_ids, ["group", *FACTS]].reset_index().assign(label=split.labels)


@torch.no_grad()
def read_rows(
    loader: WindowLoader,
    tracks: pd.DataFrame,
    features: Callable[[Tensor], Tensor],
    batch_size: int,
    most: int | None = None,
) -> Rows:
    """`features` (B, D) of windows (B, 1, *shape): of all windows of `loader`, or of `most`, evenly spaced.

    DataError if `tracks`, the table tracks.parquet, lacks a recording.
    """
    index = evenly_spaced(len(loader), len(loader) if most is None else most)
    parts = [features(loader.batch(rows).x).cpu() for rows in index.split(batch_size)]
    known = known_facts(loader.split, tracks).iloc[loader.row[index].numpy()].reset_index(drop=True)
    return Rows(torch.cat(parts).numpy(), known)


def statistics(x: Tensor) -> Tensor:
    """(B, 2 * bands) of windows (B, 1, *shape): mean and standard deviation over time of each band.

    For a waveform, a band is a bin of its log-power spectra.
    """
    bands = x.squeeze(1)
    if bands.dim() == 2:
        window = torch.hann_window(FRAME, device=x.device)
        # Padded with zeros, since a reflection needs half a frame of samples.
        spectra = torch.stft(bands, FRAME, FRAME // 2, window=window, pad_mode="constant", return_complex=True)
        bands = (spectra.abs().square() + MIN_POWER).log()
    return torch.cat([bands.mean(-1), bands.std(-1, correction=0)], dim=1)


def probe(train: Rows, test: Rows, scores: Collection[str] = SCORES) -> ProbeScores:
    """Learn from the rows `train`, and predict what the data know of the rows `test`; `scores` names what to compute.

    All scores use features standardised by the train rows, without dimensions that do not vary. Only test windows are
    scored whose class a train window has.

    windows:
        probe_accuracy, probe_key_accuracy, probe_instrument_accuracy: 1 if multinomial logistic regression with
            scikit-learn's penalty (L2, C = 1), a linear probe, predicts the class, else 0.
        probe_tempo_r2: 1 - e² / V, with e the error of ridge regression in log2 tempo and V the variance over the test
            recordings. Its mean over recordings is R²: 1 is exact, 0 no better than the mean of the test tempos.
        knn_accuracy: 1 if a vote of the five nearest train rows predicts the label, else 0.
    numbers:
        chance, chance_key, chance_instrument: share of the most frequent class of the scored recordings.
        silhouette: mean over the test rows of (b - a) / max(a, b), a the mean distance to rows of the same label, b to
            rows of the nearest other label (Rousseeuw 1987); from -1 to 1.

    They are NaN or None if the data do not know it, without features or with features that are not finite, with a
    single class in training, and a silhouette also with fewer than two labels or as many labels as rows.
    """
    windows = {name: np.full(len(test.known), np.nan) for name in scores if name != "silhouette"}
    numbers: dict[str, float | None] = {"silhouette": None}
    for column, name in CHANCES.items():
        numbers[name] = _chance(train.known[column], test.known[column], test.known["track_id"])
    if not train.features.shape[1] or not all(np.isfinite(rows.features).all() for rows in (train, test)):
        return ProbeScores(windows, numbers)
    # Imported here: it takes a second, which other stages need not wait for.
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import silhouette_score
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train.features.astype(np.float64))
    a, b = (scaler.transform(rows.features.astype(np.float64)) for rows in (train, test))
    if "silhouette" in scores and 2 <= test.known["label"].nunique() < len(test.known):
        numbers["silhouette"] = float(silhouette_score(b, test.known["label"].to_numpy(str)))
    a, b = project_to_span(a, b)
    for column, name in CLASSES.items():
        if name in scores:
            windows[name] = _hits(
                LogisticRegression(max_iter=MAX_ITERATIONS), a, train.known[column], b, test.known[column]
            )
    if "probe_tempo_r2" in scores:
        windows["probe_tempo_r2"] = _tempo_r2(a, train.known, b, test.known)
    if "knn_accuracy" in scores:
        vote = KNeighborsClassifier(min(NEIGHBOURS, len(a)))
        windows["knn_accuracy"] = _hits(vote, a, train.known["label"], b, test.known["label"])
    return ProbeScores(windows, numbers)


def project_to_span(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project both onto the span of the train rows if that is smaller; the basis is orthonormal.

    No probe changes: the weights of a regression with an L2 penalty lie in the span, and the part of a test row
    outside the span adds the same to its distance from every train row. But 1,900 numbers of 500 windows become 500.
    """
    if train.shape[1] <= len(train):
        return train, test
    values, vectors = np.linalg.eigh(train @ train.T)
    if values[-1] < RANK_TOLERANCE:  # all train rows are equal, as with a codebook that collapsed to one code
        return np.zeros((len(train), 1)), np.zeros((len(test), 1))
    significant = values > RANK_TOLERANCE * values[-1]
    basis = train.T @ (vectors[:, significant] / np.sqrt(values[significant]))
    return train @ basis, test @ basis


def _chance(train: pd.Series, test: pd.Series, track_ids: pd.Series) -> float | None:
    """Share of the most frequent class of the test recordings whose class a train window has; None without any."""
    scored = test.isin(train.dropna())
    classes = test[scored][~track_ids[scored].duplicated()]
    return float(classes.value_counts(normalize=True).max()) if len(classes) else None


def _hits(classifier: Any, a: np.ndarray, train: pd.Series, b: np.ndarray, test: pd.Series) -> np.ndarray:
    """(test rows,) 1 if the class that is predicted from `b` is that of `test`, else 0; NaN if not scored.

    The classifier of scikit-learn learns from the rows `a` of the classes `train`.
    """
    hits = np.full(len(b), np.nan)
    known, scored = train.notna().to_numpy(), test.isin(train.dropna()).to_numpy()
    if train.nunique() > 1 and scored.any():
        classifier.fit(a[known], train[known].to_numpy(str))
        hits[scored] = classifier.predict(b[scored]) == test[scored].to_numpy(str)
    return hits


def _tempo_r2(a: np.ndarray, train: pd.DataFrame, b: np.ndarray, test: pd.DataFrame) -> np.ndarray:
    """(test rows,) `probe_tempo_r2` of the rows `b`, learnt from the rows `a`.

    Of `PENALTIES`, the regression takes the one with the lowest error on left-out groups. Rows of a group resemble each
    other: a penalty for left-out rows whose group stays would be too small.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV, GroupKFold

    result = np.full(len(b), np.nan)
    known, scored = train["tempo"].notna().to_numpy(), test["tempo"].notna().to_numpy()
    train, test = train[known], test[scored]
    variance = np.log2(test.drop_duplicates("track_id")["tempo"]).var(ddof=0)
    if train["tempo"].nunique() > 1 and train["group"].nunique() > 1 and variance > 0:
        tempo, groups = np.log2(train["tempo"].to_numpy(float)), train["group"].to_numpy(str)
        folds = GroupKFold(min(FOLDS, len(np.unique(groups))))
        search = GridSearchCV(Ridge(), {"alpha": PENALTIES}, cv=folds, scoring="neg_mean_squared_error")
        predicted = search.fit(a[known], tempo, groups=groups).predict(b[scored])
        result[scored] = 1 - np.square(predicted - np.log2(test["tempo"])) / variance
    return result
