"""The columns of the comparison table: titles, column sets, and the text of the cells."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.report.formatting import DASH, NBSP, count, decibels, digits, factor, hertz, percent, size
from pipeline.report.table import Row

SETS = {
    "common": "Common log-mel",
    "own": "Own scale",
    "latent": "Latent",
    "knows": "What it knows",
    "samples": "Samples",
    "audio": "Audio",
    "all": "Everything",
}
SET_NOTES = {
    "common": "Every row as the same log-mel spectrogram in [0, 1]. Only here can you compare variants with different "
    "inputs. A waveform contains nothing above half its sample rate; the missing bands count as error. “Shared bands” "
    "are the mel bands that all inputs contain.",
    "own": "On the scale of the variant's own input: compare only rows with the same input. “vs. mean” and “vs. PCA” "
    "are the MSE divided by the MSE of the mean predictor, or of PCA with as many numbers as the latent. "
    "The row of a PCA baseline has the error of all its components.",
    "latent": "The content of the latent. KL and ELBO are in nats per window. Interpolation: the largest step divided "
    "by the mean step. Probe: a linear classifier of the label.",
    "knows": "What probes read out of the latent of a test window. They learn the latents of training windows: linear "
    "classifiers of the label and, where the source knows them, of key and instrument, and a linear regression of the "
    "tempo (R²: 1 is exact, 0 no better than the mean). A latent that is a sequence is pooled first, to mean and "
    "deviation over its frames; “flat” is a probe of the whole sequence. In the rows of the true windows, the probes "
    "read mean and deviation over time of each band of the input. PCA: with as many numbers as the latent.",
    "samples": "Windows decoded from the prior, and windows transferred to another label. The Fréchet distance "
    "compares Gaussian fits of mel statistics; the floor is the distance between training and test windows. Both are "
    "computed on the variant's own input: an input with fewer frequencies is easier.",
    "audio": "Errors by frequency range, and errors after the conversion to audio. The ceilings are the true windows "
    "in each representation: they show what the representation itself loses. A mel loses nothing until it becomes "
    "audio; if a vocoder is used, one more row shows the same mels by Griffin-Lim. Codecs show what a bit rate is "
    "worth: theirs is that of their packets, a variant’s is its KL.",
    "all": "Every column.",
}


@dataclass(frozen=True)
class Column:
    """The column of the metric `key`. A cell shows the value and below it, in small print, a detail."""

    key: str
    name: str
    unit: str
    sets: str  # separated by spaces
    write: Callable[[float | None], str] = digits
    better: str = ""  # low, high, or empty if neither is better
    per_input: bool = False  # only rows with the same input compare
    write_detail: Callable[[Row], str] | None = None  # instead of the 95 % interval

    def value(self, row: Row) -> float | None:
        """The number that rows are sorted by."""
        return row[self.key] if self.key != "parameters" or row.role == "variant" else None

    def text(self, row: Row) -> str:
        """The value as the cell shows it."""
        return self.write(self.value(row))

    def detail(self, row: Row) -> str:
        """The small print."""
        if self.write_detail:
            return self.write_detail(row)
        low, high = row[f"{self.key}_low"], row[f"{self.key}_high"]
        if low is None or high is None or low == high:
            return ""
        return f"{self.write(low).split(NBSP)[0]}–{self.write(high).split(NBSP)[0]}"

    def is_best(self, row: Row, rows: list[Row]) -> bool:
        """Whether `row` has the best value of all variants, or of the variants with its input if `per_input`."""
        if not self.better or not row.competes:
            return False
        rivals = [r for r in rows if r.competes and (r.representation == row.representation or not self.per_input)]
        values = [value for rival in rivals if (value := self.value(rival)) is not None]
        return bool(values) and self.value(row) == (min(values) if self.better == "low" else max(values))


def _usage(row: Row) -> str:
    if row["perplexity_share"] is not None:
        return f"perplexity {digits(row['perplexity'])}"
    return f"{count(row['active_units'])} units" if row["active_units"] is not None else ""


def _shared_limit(row: Row) -> str:
    return f"to {hertz(row['shared_hz'])}" if row["shared_hz"] is not None else ""


def _yes_no(value: float | None) -> str:
    return DASH if value is None else "yes" if value else "no"


COLUMNS = (
    Column("mel_mse", "Error", "MSE, log-mel", "common", better="low"),
    Column("mel_cosine_similarity", "Cosine", "log-mel", "common", better="high"),
    Column("mel_mse_shared", "Shared bands", "MSE, log-mel", "common", better="low", write_detail=_shared_limit),
    Column("mel_mse_relative", "vs. mean", "predictor, log-mel", "common", percent, "low"),
    Column("mel_log_spectral_distance", "Log-spectral", "distance", "audio", decibels, "low"),
    Column("mse", "MSE", "own scale", "own", better="low", per_input=True),
    Column("mse_relative", "vs. mean", "predictor", "own", percent, "low", True),
    Column("pca_ratio", "vs. PCA", "same size", "common own", factor, "low", True),
    Column("cosine_similarity", "Cosine", "own scale", "own", better="high", per_input=True),
    Column("out_of_range", "Out of range", "of values", "own", percent, "low"),
    Column("si_sdr", "SI-SDR", "waveforms", "own", decibels, "high", True),
    Column("stft_distance", "STFT distance", "waveforms", "own", better="low", per_input=True),
    Column("log_spectral_distance", "Log-spectral", "waveforms", "own", decibels, "low", True),
    Column("mse_pca", "PCA", "same size", "own", per_input=True),
    Column("latent_dims", "Latent", "numbers", "common own latent", count),
    Column("kl", "KL", "nats", "latent", per_input=True),
    Column("elbo", "ELBO", "nats", "latent", better="high", per_input=True),
    Column("in_use", "In use", "units or codes", "common latent", percent, write_detail=_usage),
    Column("latent_std", "Std", "of posterior means", "latent"),
    Column("dims_90", "PCA dims", "for 90 %", "latent", count),
    Column("probe_accuracy", "Probe", "label", "common latent knows", percent, "high"),
    Column("probe_accuracy_pca", "PCA", "label", "knows", percent),
    Column("probe_pooled", "Pooled", "sequences", "knows", _yes_no),
    Column("probe_flat_accuracy", "Flat probe", "label", "knows", percent),
    Column("chance", "Chance", "label", "knows", percent),
    Column("knn_accuracy", "Neighbours", "label", "knows", percent, "high"),
    Column("silhouette", "Silhouette", "label", "knows", better="high"),
    Column("probe_key_accuracy", "Probe", "key", "knows", percent, "high"),
    Column("chance_key", "Chance", "key", "knows", percent),
    Column("probe_instrument_accuracy", "Probe", "instrument", "knows", percent, "high"),
    Column("chance_instrument", "Chance", "instrument", "knows", percent),
    Column("probe_tempo_r2", "Probe", "tempo, R²", "knows", better="high"),
    Column("interpolation_smoothness", "Interpolation", "unevenness", "latent", better="low"),
    Column("frechet_samples", "Fréchet", "samples", "samples", better="low", per_input=True),
    Column("frechet_reconstructions", "Fréchet", "reconstructions", "samples", better="low", per_input=True),
    Column("frechet_floor", "Fréchet", "floor", "samples"),
    Column("sample_variance_ratio", "Variance", "vs. data", "samples", factor),
    Column("sample_time_ratio", "Change over time", "vs. data", "samples", factor),
    Column("samples_flat", "Flat", "samples", "samples", _yes_no),
    Column("transfer_accuracy", "Transfer", "reaches target label", "samples", percent, "high", True),
    Column("transfer_source", "Transfer", "keeps source label", "samples", percent, "low", True),
    Column("transfer_chance", "Transfer", "chance", "samples", percent),
    Column("mel_mse_bass", "Bass", "to 250 Hz", "audio", better="low"),
    Column("mel_mse_middle", "Middle", "to 4 kHz", "audio", better="low"),
    Column("mel_mse_treble", "Treble", "above 4 kHz", "audio", better="low"),
    Column("kbps", "Bit rate", "kbit/s", "latent audio"),
    Column("audio_mel_distance", "Mel distance", "of the audio", "audio", better="low"),
    Column("audio_stft_distance", "STFT distance", "of the audio", "audio", better="low"),
    Column("audio_si_sdr", "SI-SDR", "of the audio", "audio", decibels, "high"),
    Column("audio_log_spectral_distance", "Log-spectral", "of the audio", "audio", decibels, "low"),
    Column("audio_loudness_difference", "Loudness", "difference, LU", "audio", better="low"),
    Column("audio_visqol", "ViSQOL", "1 to 5", "audio", better="high"),
    Column("kernel_audio_distance", "Kernel distance", "of an embedding", "audio", better="low"),
    Column("parameters", "Size", "parameters", "common", size),
)


def columns_with_values(rows: list[Row]) -> list[Column]:
    """The columns in which at least one row has a value."""
    return [column for column in COLUMNS if any(column.value(row) is not None for row in rows)]


def find_roles(rows: list[Row]) -> list[str]:
    """What the table can hide: the roles of the rows, other than variants, and collapsed variants."""
    return sorted({row.role for row in rows} - {"variant"}) + ["collapsed"] * any(row.collapsed for row in rows)
