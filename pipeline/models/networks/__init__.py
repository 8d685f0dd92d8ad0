"""Networks: the encoder and decoder class of each type, both built from (config, signal).

An encoder turns windows (B, 1, *shape) into a list: its features (B, *self.shape), then any skip connections. A decoder
turns such a list into windows; `last` is its last layer, which `Refinement` starts at 0. A new network needs a config
class in `models/config.py` (a member of `NetworkConfig`), an entry in `NETWORKS`, and two classes:

    class DenseEncoder(nn.Module):
        def __init__(self, config: DenseConfig, signal: Signal) -> None:
            super().__init__()
            self.shape, self.layer = (config.width, 1), nn.Linear(signal.size, config.width)
        def forward(self, x): return [self.layer(x.flatten(1)).unsqueeze(2)]

    class DenseDecoder(nn.Module):
        def __init__(self, config: DenseConfig, signal: Signal) -> None:
            super().__init__()
            self.window, self.last = signal.shape, nn.Linear(config.width, signal.size)
        def forward(self, inputs): return self.last(inputs[0].flatten(1)).reshape(-1, 1, *self.window)
"""

from torch import nn

from pipeline.models.networks.conv1d import Conv1dDecoder, Conv1dEncoder
from pipeline.models.networks.conv2d import Conv2dDecoder, Conv2dEncoder
from pipeline.models.networks.fc import FullyConnectedDecoder, FullyConnectedEncoder
from pipeline.models.networks.identity import IdentityDecoder, IdentityEncoder
from pipeline.models.networks.istft import IstftDecoder, IstftEncoder
from pipeline.models.networks.resnet1d import ResNet1dDecoder, ResNet1dEncoder
from pipeline.models.networks.transformer import TransformerDecoder, TransformerEncoder

NETWORKS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "conv2d": (Conv2dEncoder, Conv2dDecoder),
    "identity": (IdentityEncoder, IdentityDecoder),
    "resnet1d": (ResNet1dEncoder, ResNet1dDecoder),
    "conv1d": (Conv1dEncoder, Conv1dDecoder),
    "fc": (FullyConnectedEncoder, FullyConnectedDecoder),
    "istft": (IstftEncoder, IstftDecoder),
    "transformer": (TransformerEncoder, TransformerDecoder),
}
