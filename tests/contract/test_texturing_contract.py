"""The layer contract, held by `texture`: a piece of its own, and a fill, by patches and by filters, from both starts.

A piece of its own is not the layer changed: it has a size of its own, and what is selected is where it is from. So
"outside the mask nothing changes" means here that nothing from outside gets into it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from laboratory import DTYPES, Laboratory, Outcome, Pixels, noise, smooth

from samovar import card
from samovar.networks import vgg19
from samovar_link.errors import BadRequest

CASES: dict[str, dict[str, Any]] = {
    "patches": {"model": "texture/patches"},
    "random": {"model": "texture/random"},
    "random from noise": {"model": "texture/random", "start": "noise"},
    "random sliced": {"model": "texture/random", "loss": "sliced"},
    "fill by patches": {"model": "texture/patches", "result": "fill"},
    "fill by random": {"model": "texture/random", "result": "fill"},
}
TOPS = {"u8": 255, "u16": 65535, "f16": 1.0, "f32": 1.0}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
every = pytest.mark.parametrize("case", CASES)
growing = pytest.mark.parametrize("case", [each for each in CASES if not each.startswith("fill")])
filling = pytest.mark.parametrize("case", [each for each in CASES if each.startswith("fill")])

held = settings(
    max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)  # fmt: skip
sides = st.sampled_from([1, 2, 3, 9, 17, 30])
dtypes = st.sampled_from(sorted(DTYPES))
LABORATORY = Laboratory()


@st.composite
def layers(draw: st.DrawFn) -> tuple[Pixels, Pixels]:
    """A layer of any kind and a mask with something, but not all, in it."""
    height, width, dtype, channels = draw(sides), draw(sides), draw(dtypes), draw(st.sampled_from([1, 2, 3, 4]))
    assume(height * width > 1)
    pixels = smooth(height, width, channels, dtype)
    if draw(st.booleans()):
        pixels = noise(height, width, channels, dtype=dtype, seed=draw(st.integers(0, 99)))
    if channels in (2, 4):
        kind = draw(st.sampled_from(["any", "left", "none"]))
        if kind != "any":
            pixels[..., -1] = TOPS[dtype]
        if kind == "left":
            pixels[:, : (width + 1) // 2, -1] = 0
    mask = np.zeros((height, width, 1), np.uint8)
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask[top : top + draw(st.integers(1, 9)), left : left + draw(st.integers(1, 9))] = draw(st.sampled_from([255, 130]))
    assume(not (mask > 0).all())
    if channels in (2, 4):
        assume((pixels[..., -1][mask[..., 0] > 0] > 0).any() and (pixels[..., -1][mask[..., 0] == 0] > 0).any())
    return pixels, mask


def run(case: str, pixels: Pixels, mask: Pixels | None, **more: Any) -> Outcome:
    masks = {} if mask is None else {"mask": mask}
    return LABORATORY.run(pixels, "texture", masks=masks, **{"iterations": 2, **CASES[case], **more})


@every
@held
@given(layer=layers(), x=st.integers(-99, 99), y=st.integers(-99, 99), width=sides, height=sides)
def test_a_layer_comes_back_as_the_kind_it_was_in_the_size_that_was_asked_for(
    case: str, layer: tuple[Pixels, Pixels], x: int, y: int, width: int, height: int
) -> None:
    pixels, mask = layer
    made = run(case, pixels, mask, raster={"x": x, "y": y}, width=width, height=height)
    raster = made.result.images["image"]
    size = pixels.shape[:2] if case.startswith("fill") else (height, width)
    assert made.pixels.dtype == pixels.dtype and made.pixels.shape == (*size, pixels.shape[2])
    assert (raster.x, raster.y) == (x, y)
    assert made.result.report.model == CASES[case]["model"]
    assert np.isfinite(made.pixels.astype(np.float64)).all()


@every
@held
@given(layer=layers(), wrap=st.booleans())
def test_the_same_request_gives_the_same_pixels(case: str, layer: tuple[Pixels, Pixels], wrap: bool) -> None:
    sent = {"message": {"seed": 7, "wrap_x": wrap}}
    assert run(case, *layer, **sent).pixels.tobytes() == run(case, *layer, **sent).pixels.tobytes()


@growing
def test_another_seed_gives_another_texture(case: str) -> None:
    pixels = noise(40, 40, 3)
    one, other = (run(case, pixels, None, width=50, height=41, message={"seed": seed}).pixels for seed in (1, 2))
    assert (one != other).any()


@growing
def test_variants_differ_and_the_first_is_what_one_alone_is(case: str) -> None:
    pixels = noise(40, 40, 3)
    alone = run(case, pixels, None)
    three = run(case, pixels, None, variants=3)
    roles = list(three.result.images)
    assert roles == ["image", "image 2", "image 3"] and three.pixels.tobytes() == alone.pixels.tobytes()
    frames = [bytes(three.result.frames[three.result.images[role].frame]) for role in roles]
    assert len(set(frames)) == 3


@growing
@pytest.mark.parametrize("dtype", ["u8", "f16"])
def test_nothing_from_outside_the_selection_gets_into_it(case: str, dtype: str) -> None:
    """Inside it is dark, outside bright."""
    pixels = (noise(64, 64, 3, dtype="f32", seed=1) * 0.3 * TOPS[dtype]).astype(DTYPES[dtype])
    rows, columns = np.mgrid[:64, :64]
    mask = (((rows - 32) ** 2 + (columns - 30) ** 2 < 26**2) * 255).astype(np.uint8)[..., None]
    pixels[mask[..., 0] == 0] = TOPS[dtype]
    made = run(case, pixels, mask, width=70, height=50, message={"wrap_x": True})
    assert made.pixels.shape == (50, 70, 3)
    assert made.pixels.max() <= pixels[mask[..., 0] > 0].max() + TOPS[dtype] * 0.002


@filling
@held
@given(layer=layers())
def test_outside_the_mask_nothing_changes(case: str, layer: tuple[Pixels, Pixels]) -> None:
    pixels, mask = layer
    made = run(case, pixels, mask).pixels
    outside = mask[..., 0] == 0
    assert made[outside].tobytes() == pixels[outside].tobytes()


@filling
def test_nothing_of_what_was_selected_comes_back(case: str) -> None:
    pixels = (noise(60, 60, 3, seed=3).astype(np.float32) * 0.3).astype(np.uint8)
    mask = np.zeros((60, 60, 1), np.uint8)
    mask[20:40, 15:45] = 255
    pixels[mask[..., 0] > 0] = 255
    made = run(case, pixels, mask).pixels
    assert made.max() <= pixels[mask[..., 0] == 0].max() + 1


@every
@held
@given(layer=layers())
def test_gray_stays_gray(case: str, layer: tuple[Pixels, Pixels]) -> None:
    pixels, mask = layer
    assume(pixels.shape[2] > 2)
    pixels[..., 1:3] = pixels[..., :1]
    made = run(case, pixels, mask if case.startswith("fill") else None).pixels
    assert (made[..., 0] == made[..., 1]).all() and (made[..., 0] == made[..., 2]).all()


@every
@held
@given(layer=layers())
def test_opaque_stays_opaque(case: str, layer: tuple[Pixels, Pixels]) -> None:
    pixels, mask = layer
    assume(pixels.shape[2] in (2, 4))
    dtype = next(each for each in DTYPES if DTYPES[each] == pixels.dtype)
    pixels[..., -1] = TOPS[dtype]
    made = run(case, pixels, mask if case.startswith("fill") else None).pixels
    assert (made[..., -1] == TOPS[dtype]).all()


@every
@pytest.mark.parametrize("dtype", ["u16"])
def test_depth_is_kept(case: str, dtype: str) -> None:
    pixels = smooth(64, 64, 1, dtype)
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[16:48, 16:48] = 255
    made = run(case, pixels, mask if case.startswith("fill") else None).pixels
    assert len(np.unique(made)) > 256


@every
def test_values_beyond_the_range_survive(case: str) -> None:
    pixels = noise(48, 48, 3, dtype="f32", seed=5) * 4 - 1
    mask = np.zeros((48, 48, 1), np.uint8)
    mask[10:30, 10:30] = 255
    made = run(case, pixels, mask if case.startswith("fill") else None).pixels
    assert made.max() > 2.5 and made.min() < -0.5
    assert made.max() <= pixels.max() + 1e-4 and made.min() >= pixels.min() - 1e-4


@growing
def test_what_is_transparent_is_no_part_of_the_sample(case: str) -> None:
    """A patch of paint on a layer of nothing, with magenta left under the nothing."""
    pixels = np.zeros((80, 80, 4), np.uint8)
    pixels[..., 0] = pixels[..., 2] = 255
    pixels[10:70, 12:66, :3] = np.minimum(noise(60, 54, 3, seed=2), 120)
    pixels[10:70, 12:66, 3] = 255
    made = run(case, pixels, None, width=64, height=64, message={"wrap_x": True, "wrap_y": True}).pixels
    assert (made[..., 3] == 255).all() and made[..., :3].max() <= 122


@growing
def test_lace_stays_lace(case: str) -> None:
    """Where no spot is without holes, they are part of the texture; what is hidden in them shows in no edge."""
    rows, columns = np.mgrid[:64, :64]
    holes = (rows % 8 < 3) & (columns % 8 < 3)
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., 1] = 200
    pixels[..., 3] = 255
    pixels[holes] = (255, 0, 255, 0)
    made = run(case, pixels, None, width=48, height=48, message={"wrap_x": True, "wrap_y": True}).pixels
    share = (made[..., 3] < 128).mean()
    assert 0.5 * holes.mean() < share < 1.6 * holes.mean()
    solid = made[..., 3] > 200
    if "noise" not in case:  # what two steps make of noise is no lace yet
        assert made[solid][:, 0].max() < 40 and made[solid][:, 1].min() > 150


@growing
@pytest.mark.parametrize("axis", [0, 1])
def test_what_repeats_has_no_seam(case: str, axis: int) -> None:
    """The step across the border is none that stands out among those inside; without wrapping it does."""
    rows, columns = np.mgrid[:96, :96]
    waves = 127 + 90 * np.sin(rows / 5.3 + np.sin(columns / 7.1)) * np.cos(columns / 4.7)
    pixels = waves.astype(np.uint8)[..., None].repeat(3, 2)
    wrap = {"wrap_y": axis == 0, "wrap_x": axis == 1}
    made = run(case, pixels, None, width=80, height=90, iterations=8, message=wrap).pixels.astype(np.float32)
    steps = np.square(made - np.roll(made, 1, axis)).mean(axis=(1 - axis, 2))
    assert steps[0] <= np.quantile(steps[1:], 0.99) * 1.1


@every
def test_a_cancelled_one_ends_at_once(case: str) -> None:
    pixels = noise(64, 64, 3)
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[16:48, 16:48] = 255
    made = run(case, pixels, mask, cancel_after=2, iterations=1000)
    assert made.result is None and len(made.progress) <= 3


@every
def test_what_shows_meanwhile_is_of_the_size_and_kind_of_the_result(case: str) -> None:
    pixels = noise(64, 64, 4, dtype="u16")
    pixels[..., 3] = 65535
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[16:48, 16:48] = 255
    masks = mask if case.startswith("fill") else None
    made = run(case, pixels, masks, width=80, height=50, message={"stream": True}, iterations=3)
    assert made.parts
    for progress, shown in made.parts:
        assert progress.whole is not None and shown.dtype == pixels.dtype and shown.shape == made.pixels.shape
        assert (progress.whole.width, progress.whole.height) == made.pixels.shape[1::-1]


@pytest.mark.parametrize(
    "pixels", [np.zeros((20, 20, 4), np.uint8), noise(20, 20, 4)], ids=["transparent", "unselected"]
)
def test_a_sample_that_holds_nothing_is_refused(pixels: Pixels) -> None:
    mask = np.zeros((20, 20, 1), np.uint8) if pixels.any() else None
    with pytest.raises(BadRequest, match="texture sample"):
        run("patches", pixels, mask)


@pytest.mark.parametrize(("start", "wrap"), [("quilt", True), ("noise", False)])
def test_gatys_runs_with_weights_of_the_right_shape(start: str, wrap: bool) -> None:
    """Those of the published network cannot be had here; what it computes is in `test_texture.py`."""
    network = vgg19.VGG19().requires_grad_(False)
    laboratory = Laboratory(card.discover().get("vgg19/features"), load=lambda *_: network)
    pixels = noise(48, 48, 3)
    made = [
        laboratory.run(
            pixels, "texture", model="vgg19/features", width=64, height=40, start=start, iterations=count,
            message={"wrap_x": wrap, "wrap_y": wrap},
        )
        for count in (1, 3)
    ]  # fmt: skip
    assert made[0].pixels.shape == made[1].pixels.shape == (40, 64, 3)
    assert (made[0].pixels != made[1].pixels).any()
    assert made[1].result.report.model == "vgg19/features" and not made[1].result.report.retries


def test_a_sample_as_faint_as_all_that_is_selected_is_one() -> None:
    """What is not selected is more opaque, and does not matter."""
    pixels = noise(60, 60, 4)
    pixels[..., 3] = 255
    pixels[:, :50, 3] = 128
    mask = np.zeros((60, 60, 1), np.uint8)
    mask[:, :48] = 255
    made = run("patches", pixels, mask, width=40, height=40).pixels
    assert (made[..., 3] == 128).all()
