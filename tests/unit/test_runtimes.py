"""Every runtime computes what the plain one does, flat areas included; with the real weights, on a photo and on lines.

bfloat16 is emulated where the processor has no units for it: slow, but the same numbers.
"""

from __future__ import annotations

import functools

import pytest
import torch
from laboratory import noise

from samovar import card, networks, runtimes
from samovar.networks import Network
from samovar.runtimes import Runtime, cuda, eager, openvino
from samovar.worker.enlarge import enlarge
from samovar.worker.flats import Flats
from samovar.worker.image import Image
from samovar.worker.passage import Passage
from samovar.worker.trial import MIN_PSNR, flat_picture, psnr

pytestmark = [pytest.mark.slow]

CATALOGUE = card.discover()
MODELS = ["waifu2x/upconv7-photo", "waifu2x/cunet-art", "waifu2x/cunet-clean", "realesr/animevideo-x4"]
RUNTIMES = {each.id: each for each in (*eager.RUNTIMES, *openvino.RUNTIMES)}
INSTALLED = {"torch": True, "openvino": openvino.RUNTIMES[0].usable()}
SIDE = 40


def photo() -> Image:
    from skimage import data

    face = torch.from_numpy(data.astronaut()[90 : 90 + SIDE, 200 : 200 + SIDE].copy())
    return face.permute(2, 0, 1)[None].float().div(255)


def lines() -> Image:
    """Black lines and dots on white, anti-aliased in one direction."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    far = torch.minimum((x - 0.6 * y - 6).abs(), ((x - 25) ** 2 + (y - 20) ** 2).float().sqrt().sub(9).abs())
    plane = (far - 0.7).clamp(0, 1)
    plane[::8, ::8] = 0
    return plane.expand(1, 3, -1, -1).contiguous()


@functools.cache
def plain(model: str) -> Network:
    return load(model)


def load(model: str) -> Network:
    its = CATALOGUE.get(model)
    return networks.load(its, next(iter(its.weights)))


@pytest.fixture(params=["torch bf16", "openvino f32"])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    found = RUNTIMES[request.param]
    if not INSTALLED[found.name]:
        pytest.skip("OpenVINO is not installed: pip install 'samovar[openvino]'")
    return found


@pytest.mark.parametrize("model", MODELS)
def test_a_runtime_comes_close_to_the_plain_one_and_keeps_flat_areas_flat(model: str, runtime: Runtime) -> None:
    its = CATALOGUE.get(model)
    with torch.inference_mode():
        ready = runtime.prepare(load(model))
        flats = None if runtime.exact else Flats(lambda: plain(model), its)
        for image in (photo(), lines()):
            ours = enlarge(image, Passage(ready, its, flats=flats))[0]
            exact = enlarge(image, Passage(plain(model), its))[0]
            assert psnr(ours, exact) >= (90 if runtime.exact else MIN_PSNR)
        flat = flat_picture(16)
        levels, wanted = (
            (enlarge(flat, Passage(network, its, flats=mend))[0] * 255 + 0.5).floor()
            for network, mend in ((ready, flats), (plain(model), None))
        )
        assert torch.equal(levels, wanted)  # Compact itself answers some colours with two levels


@pytest.mark.parametrize("model", ["waifu2x/cunet-art", "realesr/animevideo-x4"])
def test_tiles_equal_the_whole_on_every_runtime(model: str, runtime: Runtime) -> None:
    """Of small tiles, of which a network with means holds several."""
    its = CATALOGUE.get(model)
    with torch.inference_mode():
        ready = runtime.prepare(load(model))
        image = torch.from_numpy(noise(20, 24, 3, dtype="f32")).permute(2, 0, 1)[None].contiguous()
        whole, tiled = (enlarge(image, Passage(ready, its, side=side))[0] for side in (64, 12))
    assert (whole - tiled).abs().max() <= (1 / 255 if runtime.exact else 4 / 255)


@pytest.mark.parametrize("dtype", ["f32", "bf16"])  # a processor takes minutes in f16
@pytest.mark.parametrize("model", [*MODELS, "realesrgan/anime-x4"])
def test_units_on_a_device_of_their_own_compute_the_same(model: str, dtype: str) -> None:
    """The device is the processor here, which shows all but the card itself."""
    its = CATALOGUE.get(model)
    side = 12 if model == "realesrgan/anime-x4" else SIDE
    with torch.inference_mode():
        ready = cuda.on_device(load(model), dtype, "cpu")
        image = photo()[:, :, :side, :side]
        ours, exact = (enlarge(image, Passage(network, its))[0] for network in (ready, plain(model)))
    assert ours.dtype == torch.float32
    assert psnr(ours, exact) >= (90 if dtype == "f32" else MIN_PSNR)


def test_one_runtime_can_be_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtimes.VARIABLE, runtimes.PLAIN)
    assert [each.id for each in runtimes.discover()] == [runtimes.PLAIN]
