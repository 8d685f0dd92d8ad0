"""Pairs of input, network, bottleneck and loss that cannot work."""

from collections.abc import Iterator

from pipeline.audio.representation import RepresentationConfig
from pipeline.losses.config import STFT_WINDOWS, LossConfig
from pipeline.models.config import BottleneckConfig
from pipeline.training.config import VariantConfig


def problems(model: VariantConfig, representation: RepresentationConfig, seconds: float) -> Iterator[str]:
    """What is wrong with a variant, each as "key: what, and what to do", its key below `models.<variant>`.

    Args:
        model: its block.
        representation: of its input.
        seconds: length of a window.
    """
    kind, shape = representation.kind, representation.shape(seconds)
    expected = model.network.kind
    if expected not in (kind, "any"):
        yield (
            f"network.type: {model.network.type} takes a {expected}, "
            f"but representation {model.representation} is a {kind}"
        )
    elif problem := model.network.problem(shape):
        yield f"network.{problem}"
    if model.network.type == "identity" and model.bottleneck.type not in ("linear", "gaussian"):
        yield f"network.type: identity has one position per value, too many for a {model.bottleneck.type} bottleneck"
    yield from _scale(model, kind)
    if model.loss is not None:  # a baseline has none
        yield from _reconstruction(model.loss, model.network.head, kind, shape)
        yield from _latent(model.bottleneck, model.loss)


def _scale(model: VariantConfig, kind: str) -> Iterator[str]:
    head = model.network.head
    if model.scaling != "none" and kind != "waveform":
        yield "scaling: only a waveform is scaled, a mel is not"
    if model.scaling == "rms" and head != "linear":
        yield f"scaling: rms brings peaks above 1, which network.head {head} does not reach; use peak, or head linear"
    if model.condition is not None and head != "linear":
        yield f"condition: a label's own level and range need network.head linear, not {head}"


def _reconstruction(loss: LossConfig, head: str, kind: str, shape: tuple[int, ...]) -> Iterator[str]:
    chosen = loss.reconstruction
    if chosen.type == "bce" and head != "sigmoid":
        yield f"loss.reconstruction.type: bce needs network.head sigmoid, not {head}"
    if loss.range and head in ("sigmoid", "tanh"):
        yield f"loss.range: network.head {head} never leaves the range; set it to 0, or take head linear"
    if chosen.type == "log_magnitude" and (kind != "mel" or head not in ("sigmoid", "softplus")):
        yield (
            "loss.reconstruction.type: log_magnitude needs values that are never negative: "
            f"a mel and network.head softplus or sigmoid, not a {kind} and {head}"
        )
    if chosen.weighting != "none" and kind != "mel":
        yield f"loss.reconstruction.weighting: {chosen.weighting} weighs the bands of a mel, a waveform has none"
    if loss.spectral and kind == "waveform" and shape[0] < min(STFT_WINDOWS):
        yield f"loss.spectral: needs windows of at least {min(STFT_WINDOWS)} samples, not {shape[0]}"


def _latent(middle: BottleneckConfig, loss: LossConfig) -> Iterator[str]:
    nats = loss.kl
    normal = middle.type == "hierarchical" or (middle.type == "gaussian" and middle.prior.type == "normal")
    if normal and nats.estimator == "monte_carlo":
        yield "loss.kl.estimator: the KL from a learned normal prior is exact, whatever is drawn; use analytic"
    if middle.type == "gaussian" and middle.prior.type != "standard":
        if nats.estimator == "analytic" and middle.prior.type != "normal":
            yield "loss.kl.estimator: a prior learned as a mixture has no closed form; set it to monte_carlo"
        if nats.free_bits and nats.free_bits_per == "dimension":
            yield "loss.kl.free_bits_per: a learned prior's KL is of the whole latent; set it to window"
    if normal and nats.free_bits and nats.free_bits_per == "dimension":
        yield "loss.kl.free_bits_per: a learned prior's KL is not of single dimensions; set it to window"
    if nats.free_bits and nats.free_bits_per == "level" and middle.type != "hierarchical":
        yield f"loss.kl.free_bits_per: only a hierarchical bottleneck has levels, not {middle.type}"
    if nats.balance and middle.type != "hierarchical":
        yield f"loss.kl.balance: only a hierarchical bottleneck has levels, not {middle.type}"
    if loss.codebook is not None and middle.type != "vq":
        yield f"loss.codebook: bottleneck.type {middle.type} learns no codebook; leave the block out, or take vq"
    if middle.type in ("vq", "fsq"):
        if nats.estimator == "monte_carlo":
            yield "loss.kl.estimator: the KL of codes is exact, nothing is drawn; use analytic"
        if nats.free_bits or nats.capacity is not None:
            key = "free_bits" if nats.free_bits else "capacity"
            yield f"loss.kl.{key}: the KL of codes trains their prior alone, there is nothing to hold; leave it out"
