"""Encoders and decoders: name -> (encoder class, decoder class), both built from (config, signal).

An encoder has a `shape` (of its features, without the batch) and turns (B, 1, *window) into a list: its features, and
after them whatever else the decoder is given past the latent. A decoder takes such a list, or the features alone.
"""

from torch import nn

from pipeline.models.networks.conv1d import Conv1dDecoder, Conv1dEncoder
from pipeline.models.networks.conv2d import Conv2dDecoder, Conv2dEncoder
from pipeline.models.networks.fc import FullyConnectedDecoder, FullyConnectedEncoder
from pipeline.models.networks.identity import IdentityDecoder, IdentityEncoder
from pipeline.models.networks.resnet1d import ResNet1dDecoder, ResNet1dEncoder
from pipeline.models.networks.transformer import TransformerDecoder, TransformerEncoder

NETWORKS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "conv2d": (Conv2dEncoder, Conv2dDecoder),
    "identity": (IdentityEncoder, IdentityDecoder),
    "resnet1d": (ResNet1dEncoder, ResNet1dDecoder),
    "conv1d": (Conv1dEncoder, Conv1dDecoder),
    "fc": (FullyConnectedEncoder, FullyConnectedDecoder),
    "transformer": (TransformerEncoder, TransformerDecoder),
}
