"""Encoders and decoders: name -> (encoder class, decoder class), both built from (config, input shape, statistics)."""

from torch import nn

from pipeline.models.networks.conv2d import Conv2dDecoder, Conv2dEncoder
from pipeline.models.networks.resnet1d import ResNet1dDecoder, ResNet1dEncoder

NETWORKS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "conv2d": (Conv2dEncoder, Conv2dDecoder),
    "resnet1d": (ResNet1dEncoder, ResNet1dDecoder),
}
