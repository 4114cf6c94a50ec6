"""The counting of floating-point operations, against layers counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from samovar import card
from samovar.bench import flops

CATALOGUE = card.discover()


def on_meta(layer: nn.Module) -> nn.Module:
    return layer.to("meta")


def test_a_convolution_costs_two_per_weight_and_place_of_its_output() -> None:
    layer = on_meta(nn.Conv2d(3, 16, 3))
    assert flops.count(layer, 10) == 2 * (3 * 16 * 9) * (8 * 8)


def test_a_transposed_convolution_costs_two_per_weight_and_place_of_its_input() -> None:
    layer = on_meta(nn.ConvTranspose2d(3, 5, 4, stride=2, padding=3))
    assert flops.count(layer, 10) == 2 * (3 * 5 * 16) * (10 * 10)


def test_the_context_is_not_counted_as_useful_work() -> None:
    """UpConv7: all layers at input size, so a pixel costs twice the number of its convolutions' weights."""
    channels = (3, 16, 32, 64, 128, 128, 256)
    weights = sum(9 * before * after for before, after in zip(channels, channels[1:], strict=False)) + 16 * 256 * 3
    assert flops.per_pixel(CATALOGUE.get("waifu2x/upconv7-art")) == 2 * weights


def test_layers_behind_an_enlargement_count_for_each_of_its_pixels() -> None:
    """RRDB: the trunk at input size, with its first layer, which runs again for the tail; up1 at twice the size, the
    last three at four times."""
    dense = sum(9 * (64 + 32 * i) * 32 for i in range(4)) + 9 * 192 * 64
    once = 2 * 9 * 3 * 64 + 6 * 3 * dense + 9 * 64 * 64
    enlarged = 4 * 9 * 64 * 64 + 16 * (2 * 9 * 64 * 64 + 9 * 64 * 3)
    assert flops.per_pixel(CATALOGUE.get("realesrgan/anime-x4")) == 2 * (once + enlarged)


@pytest.mark.slow
def test_a_matrix_product_has_a_speed() -> None:
    assert flops.matrix_speed(torch.float32, "cpu", 256, 0.05) > 0
