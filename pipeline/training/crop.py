"""Training on windows that are shorter than those of validation and test."""

from pipeline.audio.representation import parse_representation
from pipeline.core.errors import ParamsError
from pipeline.core.params import PARAMS_FILE
from pipeline.dataset.split import Split
from pipeline.models.vae import VAE


def crop(model: VAE, train: Split, seconds: float) -> tuple[VAE, Split]:
    """The model for windows of `seconds`, with the same weights, and a train split with windows of this length.

    Windows that are not longer than this stay whole. ParamsError if the weights depend on the length of a window.
    """
    representation = parse_representation(model.description["representation"])
    length = representation.shape(seconds)[-1]
    if length >= train.shape[-1]:
        return model, train
    train = train.cropped(length)
    try:
        return model.for_shape(train.shape).to(next(model.parameters()).device), train
    except RuntimeError as error:
        key = f"{PARAMS_FILE}: models.{model.description['variant']}.train.crop_seconds"
        raise ParamsError(f"{key}: some weights depend on the length of a window; use null") from error
