"""The cards of the embedded models."""

from __future__ import annotations

import importlib.util

import pytest

from samovar import card, operation
from samovar.card import ModelCard
from samovar_link.errors import BadRequest

CATALOGUE = card.discover()


@pytest.mark.parametrize("each", list(CATALOGUE), ids=lambda each: each.id)
def test_a_card_is_complete(each: ModelCard) -> None:
    assert each.title and each.help and each.licence and each.source.startswith("https://")
    assert importlib.util.find_spec(f"samovar.networks.{each.network}")
    assert each.weights and set(each.weights) - {""} == {f"noise{level}" for level in each.noise_levels}
    assert ("" in each.weights) == ("upscale" in each.operations)
    assert all(len(bytes.fromhex(weight.sha256)) == 32 for weight in each.weights.values())
    assert each.receptive_field > 0 and each.scale > 0 and each.multiple > 0
    known = {known.id for known in operation.discover()}
    assert set(each.operations) <= known


def test_no_two_variants_share_a_file() -> None:
    files = [weight.sha256 for each in CATALOGUE for weight in each.weights.values()]
    assert len(files) == len(set(files)) == 22


def test_a_dialog_sees_the_scale_and_the_noise_levels() -> None:
    info = CATALOGUE.get("waifu2x/cunet-art").info()
    assert (info.scale, info.noise_levels, info.licence) == (2, (0, 1, 2, 3), "MIT")
    assert CATALOGUE.get("realesrgan/photo-x4").info().noise_levels == ()


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadRequest, match="model is 'waifu3x'; allowed: realesr/animevideo-x4, .*waifu2x/upconv7-photo"):
        CATALOGUE.get("waifu3x")


def test_models_are_listed_by_operation() -> None:
    assert CATALOGUE.ids("identity") == []
    assert len(CATALOGUE.ids("upscale")) == 6
    assert CATALOGUE.ids("denoise") == ["waifu2x/cunet-clean"]
