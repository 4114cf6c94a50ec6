"""The cards of the embedded models, and of those that can be fetched."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from samovar import card, operation
from samovar.card import OURS, ModelCard
from samovar_link.errors import BadRequest

ROOT = Path(__file__).parents[2]
CATALOGUE = card.discover()
EMBEDDED = [each for each in CATALOGUE if each.embedded]
FETCHED = [each for each in CATALOGUE if not each.embedded]


@pytest.mark.parametrize("each", list(CATALOGUE), ids=lambda each: each.id)
def test_a_card_is_complete(each: ModelCard) -> None:
    assert each.title and each.help and each.licence
    ours = any(weight.distribution == OURS for weight in each.weights.values())
    assert (ROOT / each.source).is_file() if ours else each.source.startswith("https://")
    assert not each.network or importlib.util.find_spec(f"samovar.networks.{each.network}")
    assert set(each.weights) - {""} == {f"noise{level}" for level in each.noise_levels}
    assert ("" in each.weights) == (bool(each.weights) and ("upscale" in each.operations or not each.noise_levels))
    assert each.speed in card.SPEEDS
    assert all(len(bytes.fromhex(weight.sha256)) in (4, 32) for weight in each.weights.values())
    assert (
        (each.receptive_field > 0) == (bool(each.weights) and not each.whole) and each.scale > 0 and each.multiple > 0
    )
    assert set(each.operations) <= {known.id for known in operation.discover()}
    assert set(each.settings) <= set(each.weights)


@pytest.mark.parametrize("each", FETCHED, ids=lambda each: each.id)
def test_a_model_that_can_be_fetched_says_from_where_and_how_it_is_known(each: ModelCard) -> None:
    for weight in each.weights.values():
        assert weight.url.startswith("https://") and (not weight.size_bytes or weight.size_bytes > 1_000_000)
        assert weight.path == f"{each.id}/{weight.url.rsplit('/', 1)[1]}" and not weight.distribution
    assert each.architecture and each.receptive_field % each.multiple == 0


def test_no_two_variants_are_the_same() -> None:
    files = [
        (weight.sha256, str(each.settings.get(variant)))
        for each in CATALOGUE
        for variant, weight in each.weights.items()
    ]
    assert len(files) == len(set(files))
    assert sum(len(each.weights) for each in EMBEDDED) == 32


@pytest.mark.slow
@pytest.mark.parametrize("each", [each for each in EMBEDDED if each.tiled], ids=lambda each: each.id)
def test_what_a_tile_takes_is_what_its_network_says(each: ModelCard) -> None:
    from samovar import networks

    assert networks.load(each, next(iter(each.weights))).tile_bytes == each.memory_mb


def test_every_model_has_a_network() -> None:
    assert {each.id for each in CATALOGUE if not each.network} == {
        "patchmatch", "texture/patches", "texture/random",
    }, "those that have no weights"  # fmt: skip
    whole = {each.id: (each.network, each.multiple) for each in CATALOGUE if each.whole and each.network}
    assert whole.items() >= {
        "lama/photo-fill": ("lama", 8), "lama/manga-fill": ("lama", 8), "siggraph17/photo-colour": ("siggraph17", 8),
        "ddcolor/photo-colour": ("ddcolor", 1),
        "migan/photo-fill": ("onnx_pipeline", 1), "vgg19/features": ("vgg19", 1),
    }.items()  # fmt: skip


def test_a_model_that_waits_for_its_operation_is_in_no_dialog() -> None:
    there = {each.id for each in operation.discover()}
    waiting = {each.id for each in CATALOGUE if not set(each.operations) & there}
    assert waiting <= {each.id for each in CATALOGUE if each.whole}
    shown = {info.default for each in operation.discover() for info in each.info().parameters if info.kind == "model"}
    shown |= {id for each in there for id in CATALOGUE.ids(each)}
    assert not shown & waiting


def test_operations_that_work_in_tiles_offer_only_what_is_tiled() -> None:
    for each in ("upscale", "denoise"):
        assert all(CATALOGUE.get(id).tiled for id in CATALOGUE.ids(each))


def test_a_default_model_came_with_the_installation_and_may_be_used_for_anything() -> None:
    offered = [each.info() for each in operation.discover() if not each.hidden]
    defaults = {info.default for each in offered for info in each.parameters if info.kind == "model"}
    assert defaults and defaults <= {each.id for each in EMBEDDED if each.commercial}


def test_a_dialog_sees_the_scale_and_the_noise_levels() -> None:
    info = CATALOGUE.get("waifu2x/cunet-art").info()
    assert (info.scale, info.noise_levels, info.licence) == (2, (0, 1, 2, 3), "MIT")
    assert CATALOGUE.get("realesrgan/photo-x4").info().noise_levels == ()


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadRequest, match="model is 'waifu3x'; allowed: compact/anime-x2, .*waifu2x/upconv7-photo"):
        CATALOGUE.get("waifu3x")


def test_models_are_listed_by_operation() -> None:
    assert CATALOGUE.ids("identity") == []
    assert len([each for each in EMBEDDED if "upscale" in each.operations]) == 7
    assert "waifu2x/cunet-clean" in CATALOGUE.ids("denoise") and "swinir/photo-x4" in CATALOGUE.ids("upscale")
