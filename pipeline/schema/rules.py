"""Rules about a variant, and about a vocoder: which inputs, networks, bottlenecks and losses do not work together."""

from collections.abc import Iterator
from math import prod
from pathlib import Path

from pipeline.audio.representation import RepresentationConfig
from pipeline.losses.config import SPECTRAL_KINDS, AdversarialConfig, LossConfig
from pipeline.models.config import BottleneckConfig, NetworkConfig, shrink
from pipeline.training.config import TrainConfig, VariantConfig
from pipeline.vocoder.config import VocoderConfig

MIN_CROP = 128  # samples: the shortest window of the multi-resolution STFT distance
UNBOUNDED = ("linear", "polar")  # heads that make any value


def find_problems(
    model: VariantConfig, train: TrainConfig, representation: RepresentationConfig, seconds: float
) -> Iterator[str]:
    """Each problem of a variant as "key: problem; solution"; keys are relative to `models.<variant>`.

    `train` has its settings, `representation` describes its input, and `seconds` is the length of a window.
    """
    kind, shape = representation.kind, representation.shape(seconds)
    network, bottleneck = model.network, model.bottleneck
    if network.kind not in (kind, "any"):
        problem = f"{network.type} takes a {network.kind}, but representation {model.representation} is a {kind}"
        yield f"network.type: {problem}; use a network for a {kind}"
    else:
        yield from _network_problems(network, shape)
    if network.type == "identity" and bottleneck.type not in ("linear", "gaussian"):
        yield f"network.type: identity has one position per value, too many for a {bottleneck.type} bottleneck"
    if model.scaling != "none" and kind != "waveform":
        yield "scaling: only a waveform is scaled, not a mel; leave it out"
    if model.scaling == "rms" and network.head not in UNBOUNDED:
        yield f"scaling: rms brings peaks above 1, too high for network.head {network.head}; use peak, or another head"
    if model.condition is not None and network.head not in UNBOUNDED:
        yield f"condition: a label has its own loudness and range, so it needs network.head linear, not {network.head}"
    if network.components:
        yield from _components_problems(network.components, model)
    if getattr(network, "causal", False):
        yield from _causal_problems(model)
    if train.crop_seconds is not None and train.crop_seconds < seconds and model.loss is not None:
        yield from _crop_problems(train.crop_seconds, model, representation)
    if model.loss is not None:  # a baseline has none
        yield from _loss_problems(model.loss, network.head, kind)
        yield from _kl_problems(bottleneck, model.loss)
        yield from _adversarial_problems(model.loss.adversarial, train, kind)
        if train.augment.is_on and kind != "waveform":
            yield "train.augment: only waveforms are augmented, not a mel; set it only for variants of waveforms"
        if train.augment.gain_db and model.scaling != "none":
            yield f"train.augment.gain_db: scaling {model.scaling} divides each window by its gain; use 0"


def find_vocoder_problems(
    config: VocoderConfig, mel: RepresentationConfig, waveforms: RepresentationConfig | None
) -> Iterator[str]:
    """Each problem of a vocoder of `mel`, as `find_problems`, with a dot before the key.

    `waveforms` is the representation that the vocoder names.
    """
    if mel.kind != "mel":
        yield ": only a mel needs a vocoder, and this representation is a waveform; leave it out"
        return
    if config.path is not None and config.type != "exported":
        yield f".path: it is for type exported, not {config.type}; leave it out, or change the type"
    if config.type == "griffin_lim":
        return
    if config.type == "exported" and (config.path is None or Path(config.path).name != config.path):
        yield ".path: exported needs the name of a file in data/pretrained; set it, or another type"
    if waveforms is not None and (waveforms.kind, waveforms.sample_rate) != ("waveform", mel.sample_rate):
        found = f"{waveforms.kind} at {waveforms.sample_rate} Hz"
        fitting = f"a waveform at the mel's {mel.sample_rate} Hz"
        yield f".waveforms: {config.waveforms} is a {found}; name {fitting}, or use type griffin_lim"
    if config.type != "trained":
        return
    if waveforms is None:
        yield ".waveforms: it learns from waveforms; name such a representation, or use type griffin_lim"
    if mel.n_fft % 2 or mel.n_fft % mel.hop_length or mel.n_fft < 3 * mel.hop_length:
        sizes = f"n_fft must be even and 3, 4 ... times hop_length, not {mel.n_fft} and {mel.hop_length}"
        yield f".type: for trained, the mel's {sizes}; use griffin_lim"
    train = config.train
    if train.crop_seconds is not None and train.crop_seconds * mel.sample_rate < max(MIN_CROP, mel.n_fft):
        needed = f"{max(MIN_CROP, mel.n_fft)} samples"
        yield f".train.crop_seconds: {train.crop_seconds:g} s is shorter than {needed}; use longer crops"
    for problem in _adversarial_problems(config.adversarial, train, "waveform"):
        yield f".{problem.removeprefix('loss.')}"


def _network_problems(network: NetworkConfig, shape: tuple[int, ...]) -> Iterator[str]:
    if network.type in ("conv2d", "resnet1d") and prod(shrink(size, network.stage_strides)[-1] for size in shape) < 2:
        problem = f"leave one position of a window of {' x '.join(map(str, shape))}, too little for the norms"
        yield f"network.strides: {network.stage_strides} {problem}; use fewer or smaller ones, or longer windows"
    if network.type == "fc" and network.frame is not None and network.frame > shape[-1]:
        yield f"network.frame: {network.frame} is longer than the {shape[-1]} of a window; use a shorter frame"
    if network.type == "transformer" and network.width % (2 * network.heads):
        problem = f"{network.width} is not a multiple of twice the {network.heads} heads"
        yield f"network.width: {problem}, which rotary positions need; use such a multiple"
    if network.type == "transformer" and network.patch > shape[0]:
        yield f"network.patch: {network.patch} samples are more than a window's {shape[0]}; use shorter patches"


def _components_problems(components: int, model: VariantConfig) -> Iterator[str]:
    network, bottleneck = model.network, model.bottleneck
    if network.type == "identity":
        yield "network.components: identity has no weights, so it cannot correct windows; use another network, or null"
    if network.head != "linear":
        yield f"network.components: the network corrects windows by sums, which needs head linear, not {network.head}"
    if getattr(network, "skip", False):
        yield "network.skip: with components, the encoder's stages are no part of the decoder; set skip to false"
    if bottleneck.type == "hierarchical":
        needed, key = bottleneck.latent_z1 + bottleneck.latent_z2, "latent_z1 and latent_z2"
        if bottleneck.layout != "vector":
            yield "bottleneck.layout: z1 is a vector if network.components is set; use vector"
    elif bottleneck.type == "gaussian":
        needed, key = bottleneck.latent, "latent"
        if bottleneck.batch_norm:
            yield "bottleneck.batch_norm: components have variance 1 already, and a batch is too small to measure it"
        if bottleneck.prior.type == "vamp":
            yield "bottleneck.prior.type: with components, the posteriors of vamp are too narrow; use another prior"
    else:
        needed, key = 0, ""
        if network.encoder == "inverse":
            yield "network.encoder: codes decide what the decoder adds, so inverse cannot subtract it; use network"
    if components < needed:
        yield f"network.components: {components} are fewer than the {needed} of bottleneck.{key}; use at least as many"


def _causal_problems(model: VariantConfig) -> Iterator[str]:
    """A causal variant has nothing that is computed from the whole window."""
    network, bottleneck = model.network, model.bottleneck
    if network.components:
        yield "network.causal: components are computed from whole windows or patches; use network.components null"
    if getattr(network, "pooling", "none") == "global":
        yield "network.causal: pooling global averages over the whole window; use none"
    if model.scaling != "none":
        yield f"network.causal: scaling {model.scaling} needs the gain of the whole window; use none"
    if _has_latent_per_window(bottleneck) or getattr(bottleneck, "covariance", "diagonal") == "isotropic":
        fitting = "codes, or a gaussian with layout sequence and covariance diagonal"
        yield f"network.causal: a part of the latent is computed from the whole window; use {fitting}"


def _has_latent_per_window(bottleneck: BottleneckConfig) -> bool:
    return bottleneck.type == "hierarchical" or getattr(bottleneck, "layout", "sequence") == "vector"


def _crop_problems(crop_seconds: float, model: VariantConfig, representation: RepresentationConfig) -> Iterator[str]:
    """Training on crops needs weights that do not depend on the length, and terms that mean the same for a crop."""
    network, bottleneck, shape = model.network, model.bottleneck, representation.shape(crop_seconds)
    key = "train.crop_seconds"
    if representation.kind == "mel":
        yield f"{key}: a crop of a mel has another peak, and so another scale, than its window; use null"
    elif shape[0] < MIN_CROP:
        yield f"{key}: {crop_seconds:g} has {shape[0]} samples, fewer than {MIN_CROP}; use longer crops, or null"
    for problem in _network_problems(network, shape):
        yield f"{key}: with crops, {problem}"
    if network.components and network.stride and shape[-1] <= network.stride:
        yield f"{key}: a crop has one patch of components; use crops of more than {network.stride} samples"
    if network.type == "transformer":
        yield f"{key}: a transformer has as many tokens for a crop as for a window; use another network"
    if _has_latent_per_window(bottleneck):
        yield f"{key}: the latent has a vector for the whole window; use null, or a gaussian with layout sequence"
    if getattr(network, "pooling", "none") == "global" or getattr(network, "frame", 0) is None:
        yield f"{key}: the network has weights for the whole window; use null, or other settings of the network"
    if model.loss is not None and (model.loss.kl.capacity is not None or model.loss.kl.free_nats):
        yield f"{key}: loss.kl.capacity and free_nats count nats of a whole window; use null, or leave them out"


def _loss_problems(loss: LossConfig, head: str, kind: str) -> Iterator[str]:
    reconstruction = loss.reconstruction
    if reconstruction.type == "bce" and head != "sigmoid":
        yield f"loss.reconstruction.type: bce needs network.head sigmoid, not {head}"
    if loss.range and head in ("sigmoid", "tanh"):
        yield f"loss.range: network.head {head} never leaves the range; set range to 0, or use head linear"
    if reconstruction.type == "log_magnitude" and (kind != "mel" or head not in ("sigmoid", "softplus")):
        needs = "values that are never negative: a mel and network.head softplus or sigmoid"
        yield f"loss.reconstruction.type: log_magnitude needs {needs}, not a {kind} and {head}"
    if reconstruction.weighting != "none" and kind != "mel":
        yield f"loss.reconstruction.weighting: {reconstruction.weighting} is for the bands of a mel; leave it out"
    if reconstruction.type in SPECTRAL_KINDS and SPECTRAL_KINDS[reconstruction.type] != kind:
        yield f"loss.reconstruction.type: {reconstruction.type} is not for a {kind}; use gaussian"
    if loss.spectral.type and SPECTRAL_KINDS[loss.spectral.type] != kind:
        fitting = " or ".join(name for name, of in SPECTRAL_KINDS.items() if of == kind)
        yield f"loss.spectral.type: {loss.spectral.type} is not for a {kind}; use {fitting}"


def _adversarial_problems(adversarial: AdversarialConfig, train: TrainConfig, kind: str) -> Iterator[str]:
    for name in adversarial.types if kind == "mel" else ():
        if name != "patch":
            yield f"loss.adversarial.types: {name} is for waveforms, not for a mel; use patch"
    if adversarial.weight:
        problem = "the validation loss has no adversarial term, so it cannot"
        if train.patience is not None:
            yield f"train.patience: {problem} end the training; use null"
        if train.schedule == "plateau":
            yield f"train.schedule: {problem} lower the learning rate; use constant or cosine"


def _kl_problems(bottleneck: BottleneckConfig, loss: LossConfig) -> Iterator[str]:
    kl = loss.kl
    has_normal_prior = bottleneck.type == "hierarchical" or (
        bottleneck.type == "gaussian" and bottleneck.prior.type == "normal"
    )
    has_mixture_prior = bottleneck.type == "gaussian" and bottleneck.prior.type in ("mixture", "vamp")
    if has_normal_prior and kl.estimator == "monte_carlo":
        yield "loss.kl.estimator: the KL from a learned normal prior is computed exactly; use analytic"
    if has_mixture_prior and kl.estimator == "analytic":
        yield "loss.kl.estimator: the KL from a mixture has no closed form; use monte_carlo"
    if (has_normal_prior or has_mixture_prior) and kl.free_nats and kl.free_nats_per == "dimension":
        yield "loss.kl.free_nats_per: the KL from a learned prior has no single dimensions; use window"
    if kl.free_nats and kl.free_nats_per == "level" and bottleneck.type != "hierarchical":
        yield f"loss.kl.free_nats_per: only a hierarchical bottleneck has levels, not {bottleneck.type}"
    if kl.balance and bottleneck.type != "hierarchical":
        yield f"loss.kl.balance: only a hierarchical bottleneck has levels, not {bottleneck.type}"
    if loss.codebook is not None and bottleneck.type != "vq":
        yield f"loss.codebook: bottleneck.type {bottleneck.type} has no learned codebook; leave it out, or use vq"
    if bottleneck.type in ("vq", "fsq"):
        if kl.estimator == "monte_carlo":
            yield "loss.kl.estimator: the KL of codes is computed exactly; use analytic"
        if kl.free_nats or kl.capacity is not None:
            key = "free_nats" if kl.free_nats else "capacity"
            yield f"loss.kl.{key}: the KL of codes trains only their prior, so it cannot collapse; leave {key} out"
