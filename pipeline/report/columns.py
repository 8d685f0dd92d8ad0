"""The columns of the page's table: what each is called, in which sets it stands, and how a cell reads."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.report.table import Row
from pipeline.report.text import NONE, count, decibels, digits, hertz, percent, size, span, times

SETS = {
    "common": "Common log-mel",
    "own": "Own scale",
    "latent": "Latent",
    "samples": "Samples",
    "audio": "Audio",
    "all": "Everything",
}
ABOUT = {
    "common": "Every row as the same log-mel spectrogram in [0, 1]: here inputs of different kinds compare. What lies "
    "above a waveform's reach is silent in it and counts as error; “shared bands” are those that all inputs have.",
    "own": "On the scale of the input itself, where only rows with the same input compare. PCA is fitted on the same "
    "training windows and keeps as many components as the latent has numbers.",
    "latent": "What the latent holds. KL and ELBO in nats per window; the probe is a linear classifier of the labels, "
    "fitted on training windows; a walk’s unevenness is its largest step over its mean one.",
    "samples": "Windows decoded from the prior, and windows transferred to another label. The Fréchet distances are "
    "of Gaussian fits to mel statistics; the floor is that between training and test windows. They and the transfers "
    "are judged on the own input: one with less band has less to get wrong.",
    "audio": "Errors by part of the spectrum, and of what is heard after the inversion. The ceilings, the true windows "
    "as the model sees them, show what the representation itself loses: a mel nothing until it is heard.",
    "all": "Every column.",
}


@dataclass(frozen=True)
class Column:
    """A column; `value` sorts it, `text` and `detail` are what a cell shows."""

    name: str
    unit: str
    sets: tuple[str, ...]
    value: Callable[[Row], float | None]
    text: Callable[[Row], str]
    detail: Callable[[Row], str] = field(default=lambda row: "")
    better: str = ""  # low or high; empty where neither is
    within: str = ""  # "input": only rows of one input compare

    @property
    def shown_in(self) -> str:
        """The sets, for the page's script."""
        return " ".join((*self.sets, "all"))


def plain(
    key: str,
    name: str,
    unit: str,
    sets: str,
    write: Callable[[float | None], str] = digits,
    better: str = "",
    within: str = "",
) -> Column:
    """The column of one metric, with its interval where it has one; `sets` is separated by spaces."""

    def interval(row: Row) -> str:
        low, high = row[f"{key}_low"], row[f"{key}_high"]
        if low is None or high is None or low == high:
            return ""
        return span(low, high) if write is digits else f"{_bare(write(low))}–{_bare(write(high))}"

    return Column(
        name, unit, tuple(sets.split()), lambda row: row[key], lambda row: write(row[key]), interval, better, within
    )


def _bare(written: str) -> str:
    return written.split("\N{NO-BREAK SPACE}")[0]


def _probe(row: Row) -> str:
    low, high = row["probe_accuracy_low"], row["probe_accuracy_high"]
    return "" if low is None or high is None else f"{_bare(percent(low))}–{_bare(percent(high))}"


def _use(row: Row) -> str:
    if row["perplexity_share"] is not None:
        return f"perplexity {digits(row['perplexity'])}"
    return f"{count(row['active_units'])} units" if row["active_units"] is not None else ""


def _flat(row: Row) -> str:
    return NONE if row["samples_flat"] is None else "flat" if row["samples_flat"] else "no"


def _shared(row: Row) -> str:
    return f"to {hertz(row['shared_hz'])}" if row["shared_hz"] is not None else ""


COLUMNS = (
    plain("mel_mse", "Error", "MSE, log-mel", "common", better="low"),
    plain("mel_cosine_similarity", "Cosine", "log-mel", "common", better="high"),
    Column(
        "Shared bands",
        "log-mel",
        ("common",),
        lambda row: row["mel_mse_shared"],
        lambda row: digits(row["mel_mse_shared"]),
        _shared,
        "low",
    ),
    plain("mel_mse_relative", "Of mean", "predictor’s, log-mel", "audio", percent, "low"),
    plain("mel_log_spectral_distance", "Log-spectral", "distance", "audio", decibels, "low"),
    plain("mse", "MSE", "own scale", "common own", better="low", within="input"),
    plain("mse_relative", "Of mean", "predictor’s", "common own", percent, "low", "input"),
    Column(
        "Of PCA",
        "same size",
        ("common", "own"),
        lambda row: row["pca_ratio"],
        lambda row: times(row["pca_ratio"]),
        lambda row: digits(row["mse_pca"]) if row["mse_pca"] is not None else "",
        "low",
        "input",
    ),
    plain("cosine_similarity", "Cosine", "own scale", "own", better="high", within="input"),
    plain("out_of_range", "Out of range", "of values", "own", percent, "low"),
    plain("si_sdr", "SI-SDR", "waveforms", "own", decibels, "high", "input"),
    plain("stft_distance", "STFT distance", "waveforms", "own", better="low", within="input"),
    plain("log_spectral_distance", "Log-spectral", "waveforms", "own", decibels, "low", "input"),
    Column("Latent", "numbers", ("latent",), lambda row: row["latent_dims"], lambda row: count(row["latent_dims"])),
    plain("kl", "KL", "nats", "latent", within="input"),
    plain("elbo", "ELBO", "nats", "latent", better="high", within="input"),
    Column(
        "In use",
        "units or codes",
        ("common", "latent"),
        lambda row: row["in_use"],
        lambda row: percent(row["in_use"]),
        _use,
    ),
    plain("latent_std", "Std", "of the means", "latent"),
    plain("dims_90", "Dims", "for 90 %", "latent", count),
    Column(
        "Probe",
        "accuracy",
        ("common", "latent"),
        lambda row: row["probe_accuracy"],
        lambda row: percent(row["probe_accuracy"]),
        _probe,
        "high",
    ),
    plain("chance", "Chance", "of the probes", "latent", percent),
    plain("knn_accuracy", "Neighbours", "accuracy", "latent", percent, "high"),
    plain("silhouette", "Silhouette", "by label", "latent", better="high"),
    plain("interpolation_smoothness", "Walk", "unevenness", "latent", better="low"),
    plain("frechet_samples", "Fréchet", "samples", "samples", better="low", within="input"),
    plain("frechet_reconstructions", "Fréchet", "reconstructions", "samples", better="low", within="input"),
    plain("frechet_floor", "Fréchet", "floor", "samples"),
    plain("sample_variance_ratio", "Variance", "of the data's", "samples", times),
    plain("sample_time_ratio", "Change in time", "of the data's", "samples", times),
    Column("Flat", "samples", ("samples",), lambda row: row["samples_flat"], _flat),
    plain("transfer_accuracy", "Transfer", "reaches its label", "samples", percent, "high", "input"),
    plain("transfer_source", "Transfer", "stays at its own", "samples", percent, "low", "input"),
    plain("transfer_chance", "Transfer", "chance", "samples", percent),
    plain("mel_mse_bass", "Bass", "to 250 Hz", "audio", better="low"),
    plain("mel_mse_middle", "Middle", "to 4 kHz", "audio", better="low"),
    plain("mel_mse_treble", "Treble", "above", "audio", better="low"),
    plain("frechet_audio", "Fréchet", "of an embedding", "audio", better="low"),
    plain("audio_stft_distance", "STFT distance", "as heard", "audio", better="low"),
    plain("audio_log_spectral_distance", "Log-spectral", "as heard", "audio", decibels, "low"),
    Column(
        "Size",
        "parameters",
        ("common",),
        lambda row: None if row.role != "variant" else row["parameters"],
        lambda row: NONE if row.role != "variant" else size(row["parameters"]),
        better="",
    ),
)


@dataclass(frozen=True)
class Cell:
    """One cell as the page shows it."""

    value: float | None
    text: str
    detail: str
    best: bool


def filled(found: list[Row]) -> list[Column]:
    """The columns in which some row has a value; those of no use here are left out."""
    return [column for column in COLUMNS if any(column.value(row) is not None for row in found)]


def cells(found: list[Row], columns: list[Column]) -> list[list[Cell]]:
    """The cells of each row; `best` marks the best variant of a column, of each input where only those compare."""
    best: dict[tuple[int, str], float] = {}
    for number, column in enumerate(columns):
        for row in found:
            value, place = column.value(row), (number, row.representation if column.within else "")
            if value is None or not column.better or not row.competes:
                continue
            pick = min if column.better == "low" else max
            best[place] = pick(best.get(place, value), value)
    return [
        [
            Cell(
                value=column.value(row),
                text=column.text(row),
                detail=column.detail(row),
                best=row.competes
                and column.value(row) is not None
                and best.get((number, row.representation if column.within else "")) == column.value(row),
            )
            for number, column in enumerate(columns)
        ]
        for row in found
    ]
