"""The columns of the comparison table: titles, column sets, and the text of the cells."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.report.formatting import DASH, NBSP, count, decibels, digits, factor, hertz, interval, percent, size
from pipeline.report.table import Row

SETS = {
    "common": "Common log-mel",
    "own": "Own scale",
    "latent": "Latent",
    "samples": "Samples",
    "audio": "Audio",
    "all": "Everything",
}
SET_NOTES = {
    "common": "Every row as the same log-mel spectrogram in [0, 1]. Only here can you compare variants with different "
    "inputs. A waveform contains nothing above half its sample rate; the missing bands count as error. “Shared bands” "
    "are the mel bands that all inputs contain.",
    "own": "On the scale of the variant's own input: compare only rows with the same input. “vs. mean” and “vs. PCA” "
    "are the MSE divided by that of the mean predictor and of PCA. PCA is fitted to the same training windows and "
    "keeps as many components as the latent has numbers.",
    "latent": "What the latent contains. KL and ELBO are in nats per window. The probe is a linear classifier of the "
    "labels, fitted to the latents of training windows. Interpolation: the largest step divided by the mean step.",
    "samples": "Windows decoded from the prior, and windows transferred to another label. The Fréchet distance "
    "compares Gaussian fits of mel statistics; the floor is the distance between training and test windows. Both are "
    "computed on the variant's own input: an input with fewer frequencies is easier.",
    "audio": "Errors by frequency range, and errors after the conversion to audio. The ceilings are the true windows "
    "in each representation: they show what the representation itself loses. A mel loses nothing until it becomes "
    "audio.",
    "all": "Every column.",
}


@dataclass(frozen=True)
class Column:
    """A column: rows are sorted by `value`; a cell shows `text`, with `detail` below it in small print."""

    name: str
    unit: str
    sets: tuple[str, ...]
    value: Callable[[Row], float | None]
    text: Callable[[Row], str]
    detail: Callable[[Row], str]
    better: str = ""  # low, high, or empty if neither is better
    per_input: bool = False  # only rows with the same input compare

    @property
    def all_sets(self) -> str:
        """The sets that show it, separated by spaces."""
        return " ".join((*self.sets, "all"))

    def group(self, row: Row) -> str:
        """Equal for rows that compare in this column."""
        return row.representation if self.per_input else ""


def column(
    key: str,
    name: str,
    unit: str,
    sets: str,
    write: Callable[[float | None], str] = digits,
    better: str = "",
    per_input: bool = False,
    detail: Callable[[Row], str] | None = None,
) -> Column:
    """The column of the metric `key`; `sets` is separated by spaces; the default detail is the 95 % interval."""

    def bounds(row: Row) -> str:
        low, high = row[f"{key}_low"], row[f"{key}_high"]
        if write is digits or low is None or high is None or low == high:
            return interval(low, high)
        return f"{write(low).split(NBSP)[0]}–{write(high).split(NBSP)[0]}"

    return Column(
        name,
        unit,
        tuple(sets.split()),
        value=lambda row: row[key],
        text=lambda row: write(row[key]),
        detail=detail or bounds,
        better=better,
        per_input=per_input,
    )


def _usage(row: Row) -> str:
    if row["perplexity_share"] is not None:
        return f"perplexity {digits(row['perplexity'])}"
    return f"{count(row['active_units'])} units" if row["active_units"] is not None else ""


def _shared_limit(row: Row) -> str:
    return f"to {hertz(row['shared_hz'])}" if row["shared_hz"] is not None else ""


def _pca_error(row: Row) -> str:
    return digits(row["mse_pca"]) if row["mse_pca"] is not None else ""


def _yes_no(value: float | None) -> str:
    return DASH if value is None else "yes" if value else "no"


def _parameters(row: Row) -> float | None:
    return row["parameters"] if row.role == "variant" else None


COLUMNS = (
    column("mel_mse", "Error", "MSE, log-mel", "common", better="low"),
    column("mel_cosine_similarity", "Cosine", "log-mel", "common", better="high"),
    column("mel_mse_shared", "Shared bands", "MSE, log-mel", "common", better="low", detail=_shared_limit),
    column("mel_mse_relative", "vs. mean", "log-mel", "audio", percent, "low"),
    column("mel_log_spectral_distance", "Log-spectral", "distance", "audio", decibels, "low"),
    column("mse", "MSE", "own scale", "common own", better="low", per_input=True),
    column("mse_relative", "vs. mean", "own scale", "common own", percent, "low", True),
    column("pca_ratio", "vs. PCA", "same size", "common own", factor, "low", True, _pca_error),
    column("cosine_similarity", "Cosine", "own scale", "own", better="high", per_input=True),
    column("out_of_range", "Out of range", "of values", "own", percent, "low"),
    column("si_sdr", "SI-SDR", "waveforms", "own", decibels, "high", True),
    column("stft_distance", "STFT distance", "waveforms", "own", better="low", per_input=True),
    column("log_spectral_distance", "Log-spectral", "waveforms", "own", decibels, "low", True),
    column("latent_dims", "Latent", "numbers", "latent", count),
    column("kl", "KL", "nats", "latent", per_input=True),
    column("elbo", "ELBO", "nats", "latent", better="high", per_input=True),
    column("in_use", "In use", "units or codes", "common latent", percent, detail=_usage),
    column("latent_std", "Std", "of posterior means", "latent"),
    column("dims_90", "PCA dims", "for 90 %", "latent", count),
    column("probe_accuracy", "Probe", "accuracy", "common latent", percent, "high"),
    column("chance", "Chance", "of the probe", "latent", percent),
    column("knn_accuracy", "Neighbours", "accuracy", "latent", percent, "high"),
    column("silhouette", "Silhouette", "by label", "latent", better="high"),
    column("interpolation_smoothness", "Interpolation", "unevenness", "latent", better="low"),
    column("frechet_samples", "Fréchet", "samples", "samples", better="low", per_input=True),
    column("frechet_reconstructions", "Fréchet", "reconstructions", "samples", better="low", per_input=True),
    column("frechet_floor", "Fréchet", "floor", "samples"),
    column("sample_variance_ratio", "Variance", "vs. data", "samples", factor),
    column("sample_time_ratio", "Change over time", "vs. data", "samples", factor),
    column("samples_flat", "Flat", "samples", "samples", _yes_no),
    column("transfer_accuracy", "Transfer", "reaches target label", "samples", percent, "high", True),
    column("transfer_source", "Transfer", "keeps source label", "samples", percent, "low", True),
    column("transfer_chance", "Transfer", "chance", "samples", percent),
    column("mel_mse_bass", "Bass", "to 250 Hz", "audio", better="low"),
    column("mel_mse_middle", "Middle", "to 4 kHz", "audio", better="low"),
    column("mel_mse_treble", "Treble", "above 4 kHz", "audio", better="low"),
    column("frechet_audio", "Fréchet", "of an embedding", "audio", better="low"),
    column("audio_stft_distance", "STFT distance", "of the audio", "audio", better="low"),
    column("audio_log_spectral_distance", "Log-spectral", "of the audio", "audio", decibels, "low"),
    Column("Size", "parameters", ("common",), _parameters, lambda row: size(_parameters(row)), detail=lambda row: ""),
)


@dataclass(frozen=True)
class Cell:
    """One cell of the page; `best` marks the best variant of its column."""

    value: float | None
    text: str
    detail: str
    best: bool


def columns_with_values(rows: list[Row]) -> list[Column]:
    """The columns in which at least one row has a value."""
    return [column for column in COLUMNS if any(column.value(row) is not None for row in rows)]


def table_cells(rows: list[Row], columns: list[Column]) -> list[list[Cell]]:
    """The cells of each row. The best is marked per column, or per input if only rows of one input compare."""

    def is_best(column: Column, row: Row) -> bool:
        rivals = [rival for rival in rows if rival.competes and column.group(rival) == column.group(row)]
        values = [value for rival in rivals if (value := column.value(rival)) is not None]
        if not (column.better and row.competes and values):
            return False
        return column.value(row) == (min(values) if column.better == "low" else max(values))

    return [
        [Cell(column.value(row), column.text(row), column.detail(row), is_best(column, row)) for column in columns]
        for row in rows
    ]
