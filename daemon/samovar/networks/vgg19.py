"""VGG-19 up to its last pooling, for what its layers answer to a picture.

Source: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
arXiv:1409.1556, table 1, column E; layers are called as there and in Gatys, Ecker, Bethge, "Texture Synthesis Using
Convolutional Neural Networks", NeurIPS 2015, arXiv:1505.07376. Names in the file, mean and deviation of pictures as in
torchvision. Unlike Gatys's, weights are not scaled so that each filter answers with 1 in the mean.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import FeatureNetwork, Network

WIDTHS = ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4)
"""Filters of the convolutions, block by block; each block ends in a pooling, which halves."""
TEXTURE = ("relu1_1", "pool1", "pool2", "pool3", "pool4")
"""Layers by which Gatys knows a texture. His first is called conv1_1, but cut off at 0 in place."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, in R, G and B."""


class VGG19(FeatureNetwork):
    """features : numbered as published, so that number n is the layer LAYERS[n]"""

    aside = ("classifier.",)
    steps = (1, 2, 4, 8, 16)
    around = 80

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*_modules())

    def forward(self, x: Tensor, layers: Sequence[str], average_pooling: bool = False) -> list[Tensor]:
        """What layers answer, in the order in which they were asked for; nothing beyond the last of them is computed.

        x : (N, 3, h, w) float32, R, G, B, 0..1, sRGB-encoded; gradients go back to it
        layers : names out of LAYERS
        average_pooling : means instead of maxima; "slightly cleaner" textures, says Gatys
        returns : (N, C, h / 2^k, w / 2^k) float32 each, sides rounded down, where k poolings come before its end
        """
        if unknown := set(layers) - set(LAYERS):
            raise ValueError(f"VGG-19 has no layers {sorted(unknown)}; it has {', '.join(LAYERS)}")
        mean, deviation = (x.new_tensor(each).view(1, 3, 1, 1) for each in (MEAN, DEVIATION))
        x = (x - mean) / deviation
        answers = {}
        last = max((LAYERS.index(each) for each in layers), default=-1)
        for name, layer in itertools.islice(zip(LAYERS, self.features, strict=True), last + 1):
            means = average_pooling and isinstance(layer, nn.MaxPool2d)
            x = functional.avg_pool2d(x, 2) if means else layer(x)
            if name in layers:
                answers[name] = x
        return [answers[each] for each in layers]

    def answers(self, picture: Tensor) -> list[Tensor]:
        """What Gatys's layers answer, with means for poolings."""
        return self.forward(picture, TEXTURE, average_pooling=True)


def _names() -> Iterator[str]:
    for block, widths in enumerate(WIDTHS, 1):
        for number in range(1, len(widths) + 1):
            yield f"conv{block}_{number}"
            yield f"relu{block}_{number}"
        yield f"pool{block}"


LAYERS = tuple(_names())


def _modules() -> Iterator[nn.Module]:
    before = 3
    for widths in WIDTHS:
        for after in widths:
            yield nn.Conv2d(before, after, 3, padding=1)
            yield nn.ReLU()  # not in place: what the convolution gave may be asked for too
            before = after
        yield nn.MaxPool2d(2)


def build() -> Network:
    return VGG19()
