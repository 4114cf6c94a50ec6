"""The embedded models: they load, agree with ncnn's own runtime, and give the same pixels in tiles of any size."""

from __future__ import annotations

import ncnn
import numpy as np
import pytest
import torch
from laboratory import noise, smooth

from samovar import card, networks
from samovar.card import ModelCard
from samovar.networks import StagedNetwork, rrdb
from samovar.weights import files
from samovar.worker import pooling, staging
from samovar.worker.enlarge import enlarge
from samovar.worker.passage import Passage
from samovar.worker.tiling import Tile, cut, for_network

CATALOGUE = card.discover()
EVERY = [
    (each.id, variant)
    for each in CATALOGUE
    for variant, weight in each.weights.items()
    if each.embedded and weight.path.endswith(".bin")
]
"""Those that ncnn can run as well."""
LIGHT = [
    "waifu2x/upconv7-art",
    "waifu2x/cunet-art",
    "waifu2x/cunet-clean",
    "realesr/animevideo-x4",
    "ffdnet/photo-clean",
]
CUNETS = ["waifu2x/cunet-art", "waifu2x/cunet-clean"]


@pytest.fixture(autouse=True)
def _inference() -> object:
    with torch.inference_mode():
        yield


def by_ncnn(model: ModelCard, variant: str, planes: np.ndarray) -> np.ndarray:
    """(3, h, w) -> (3, h', w') by ncnn on the CPU in float32."""
    path = files.locate(model.weights[variant])
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    assert net.load_param(str(path.with_suffix(".param"))) == 0 and net.load_model(str(path)) == 0
    extractor = net.create_extractor()
    extractor.input(net.input_names()[0], ncnn.Mat(planes).clone())  # a Mat does not own the array it is made of
    status, output = extractor.extract(net.output_names()[-1])
    assert status == 0
    return np.array(output)


def centre(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """ncnn pads Compact and RRDB inside; its result has the context still around it."""
    top, left = (planes.shape[1] - height) // 2, (planes.shape[2] - width) // 2
    return planes[:, top : top + height, left : left + width]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "variant"), EVERY)
def test_every_variant_agrees_with_ncnn(model: str, variant: str) -> None:
    """Which says, too, that every variant loads, every byte of it consumed."""
    its = CATALOGUE.get(model)
    network = networks.load(its, variant)
    context = network.finish_halo if isinstance(network, StagedNetwork) else its.receptive_field
    side = 2 * context + 12
    planes = np.random.default_rng(1).random((3, side, side + 4), np.float32)
    ours = network(for_network(torch.from_numpy(planes)[None]))[0].numpy()
    assert ours.shape == (3, 12 * its.scale, 16 * its.scale)
    np.testing.assert_allclose(ours, centre(by_ncnn(its, variant, planes), *ours.shape[1:]), atol=1e-4, rtol=0)


def test_the_weights_are_laid_out_for_the_processor() -> None:
    network = networks.load(CATALOGUE.get("waifu2x/upconv7-art"), "")
    assert not network.training
    for parameter in network.parameters():
        assert not parameter.requires_grad
        assert parameter.dim() < 4 or parameter.is_contiguous(memory_format=torch.channels_last)


def hard_picture(height: int, width: int) -> torch.Tensor:
    """Gradients, white, noise, lines: regions whose statistics differ a lot."""
    pixels = smooth(height, width, dtype="f32")
    pixels[: height // 2, : width // 2] = 1.0
    pixels[height // 2 :, width // 2 :] = noise(height - height // 2, width - width // 2, 3, dtype="f32")
    pixels[:, ::5] = 0.2
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [(False, False), (True, True)])
@pytest.mark.parametrize("model", LIGHT)
def test_tiles_equal_the_whole(model: str, wrap: tuple[bool, bool]) -> None:
    its = CATALOGUE.get(model)
    network = networks.load(its, next(iter(its.weights)))
    image = hard_picture(90, 117)
    whole, number = enlarge(image, Passage(network, its, wrap=wrap, side=1000))
    assert number == 1
    for side in (32, 60):
        tiled, number = enlarge(image, Passage(network, its, wrap=wrap, side=side))
        assert number > 1
        torch.testing.assert_close(tiled, whole, atol=0.1 / 255, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [(False, False), (True, False)])
def test_stages_in_tiles_equal_the_whole_network(wrap: tuple[bool, bool]) -> None:
    """One block of chance weights: what is shown holds for any."""
    its = CATALOGUE.get("realesrgan/anime-x4")
    torch.manual_seed(0)
    network = rrdb.build(1)
    assert isinstance(network, StagedNetwork)
    image = hard_picture(33, 40)
    context = [network.seam_context if each else its.receptive_field for each in wrap]
    more = [each - its.receptive_field for each in context]  # than `cut` adds
    wide = Tile(-more[0], -more[1], 33 + 2 * more[0], 40 + 2 * more[1])
    seen = for_network(cut(image, wide, its, wrap))
    down, right = (4 * (each - network.finish_halo) for each in context)
    plain = network(seen)[:, :, down : down + 4 * 33, right : right + 4 * 40].clamp(0, 1)
    tiled, _ = enlarge(image, Passage(network, its, wrap=wrap, side=64))
    torch.testing.assert_close(tiled, plain, atol=0.1 / 255, rtol=0)


@pytest.mark.slow
def test_pieces_of_a_picture_too_large_to_hold_differ_by_less_than_a_level(monkeypatch: pytest.MonkeyPatch) -> None:
    its = CATALOGUE.get("realesrgan/anime-x4")
    network = networks.load(its, "")
    image = hard_picture(32, 48)
    whole, number = enlarge(image, Passage(network, its))
    assert number == 1
    monkeypatch.setattr(staging, "PIECE_SIDE", 32)
    told: list[float] = []
    pieces, number = enlarge(image, Passage(network, its, told.append, held_bytes=0))
    assert number == 2 and told == sorted(told) and len(told) > 15
    assert (pieces - whole).abs().max() <= 1 / 255


@pytest.mark.slow
@pytest.mark.parametrize("model", CUNETS)
def test_cunet_in_tiles_equals_the_plain_network_on_the_whole_picture(model: str) -> None:
    its = CATALOGUE.get(model)
    network = networks.load(its, next(iter(its.weights)))
    image = hard_picture(88, 116)
    plain = network(for_network(cut(image, Tile(0, 0, 88, 116), its))).clamp(0, 1)
    tiled, _ = enlarge(image, Passage(network, its, side=40))
    torch.testing.assert_close(tiled, plain, atol=0.1 / 255, rtol=0)
    own, _ = enlarge(image[:, :, :40, :40], Passage(network, its))  # what a tile with means of its own would give
    part = slice(0, 32 * its.scale)
    assert (own[:, :, part, part] - plain[:, :, part, part]).abs().max() > 0.2 / 255


@pytest.mark.slow
def test_a_picture_too_large_to_hold_takes_its_means_from_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    its = CATALOGUE.get("waifu2x/cunet-art")
    network = networks.load(its, "")
    image = torch.from_numpy(smooth(200, 232, dtype="f32")).permute(2, 0, 1)[None].contiguous()
    exact, _ = enlarge(image, Passage(network, its, side=64))
    monkeypatch.setattr(pooling, "SAMPLE_SIDE", 40)
    held_bytes = 8 * (40 + 36) ** 2 * network.held_bytes
    assert len(pooling.sample(image, network, its, held_bytes)) == 8
    told: list[float] = []
    sampled, _ = enlarge(image, Passage(network, its, told.append, side=64, held_bytes=held_bytes))
    assert (sampled - exact).abs().max() <= 2 / 255
    assert not torch.equal(sampled, exact)
    assert told == sorted(told) and told[-1] == 1.0
