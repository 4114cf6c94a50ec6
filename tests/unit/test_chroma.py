"""CIE Lab there and back, coarse colour along edges, and how far strokes reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from samovar.chroma import geodesic, lab, pyramid
from samovar.chroma.strokes import Strokes


def rgb(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_lab_is_that_of_scikit_image() -> None:
    from skimage import color

    image = rgb(1, 3, 31, 17)
    expected = color.rgb2lab(image[0].permute(1, 2, 0).double().numpy())
    level, chroma = lab.of(image)
    assert np.abs(level[0, 0].numpy() - expected[..., 0]).max() < 0.02
    assert np.abs(chroma[0].permute(1, 2, 0).numpy() - expected[..., 1:]).max() < 0.06  # it knows the white by 4 digits


def test_gray_has_no_chroma() -> None:
    gray = torch.linspace(0, 1, 256).view(1, 1, 16, 16)
    for image in (gray, gray.expand(-1, 3, -1, -1)):
        level, chroma = lab.of(image)
        assert float(chroma.abs().max()) < 2e-3
        assert torch.allclose(lab.light_of(level), lab.light(gray), atol=1e-5)


def test_colour_goes_there_and_back() -> None:
    image = rgb(1, 3, 40, 40)
    _, chroma = lab.of(image)
    assert float((lab.image(lab.light(image), chroma) - image).abs().max()) < 2e-3


@pytest.mark.parametrize("seed", range(3))
def test_lightness_stays_whatever_the_chroma(seed: int) -> None:
    light = torch.linspace(0, 1, 256).view(1, 1, 16, 16)
    chroma = (rgb(1, 2, 16, 16, seed=seed) - 0.5) * 300
    made = lab.image(lab.linear(light), chroma)
    assert float(made.min()) >= -1e-6 and float(made.max()) <= 1 + 1e-6
    assert float((lab.light(made) - lab.linear(light)).abs().max()) < 1e-5
    rounded = (made * 255).round() / 255  # half a level of each channel
    assert float((lab.lightness(lab.light(rounded)) - lab.lightness(lab.linear(light))).abs().max()) < 0.35


def test_black_and_white_have_no_room_for_colour() -> None:
    light = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    made = lab.image(light, torch.full((1, 2, 1, 2), 60.0))
    assert torch.allclose(made, light.expand(-1, 3, -1, -1), atol=1e-6)


def test_the_lightest_of_a_chroma_is_just_in_the_gamut() -> None:
    yellow, blue, none = (-21.6, 94.5), (79.2, -107.9), (0.0, 0.0)  # those of sRGB's primaries, at L 97 and 32
    chroma = torch.tensor([yellow, blue, none]).T.reshape(1, 2, 1, 3) * 0.99
    found = lab.lightest(chroma)[0, 0, 0].tolist()
    assert found[0] >= 90 and 25 <= found[1] <= 40 and found[2] == 100


# --- the pyramid ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (8, 12)])
def test_doubling_fits_what_was_halved(size: tuple[int, int]) -> None:
    pixels = rgb(1, 1, *size) * 100
    cells = pyramid.halved(pixels)
    flat = torch.full((1, 2, *cells.shape[2:]), 7.0)
    made = pyramid.doubled(flat, cells, pixels)
    assert made.shape == (1, 2, *size) and torch.allclose(made, torch.tensor(7.0))


def step(width: int) -> tuple[Tensor, Tensor]:
    """A dark and a bright half that meet in the middle of a cell, and a colour of each."""
    pixels = torch.full((1, 1, width, width), 20.0)
    pixels[..., width // 2 + 1 :] = 80
    chroma = torch.zeros(1, 2, width, width)
    chroma[:, 0, :, : width // 2 + 1], chroma[:, 1, :, width // 2 + 1 :] = 40, 40
    return pixels, chroma


def test_colour_stays_on_its_side_of_an_edge() -> None:
    pixels, chroma = step(32)
    levels = pyramid.levels(pixels, 2)
    made = pyramid.levels(chroma, 2)[-1]
    plain = torch.nn.functional.interpolate(made, (32, 32), mode="bilinear")
    for level in (1, 0):
        made = pyramid.doubled(made, levels[level + 1], levels[level])
    error, usual = ((each - chroma).abs().amax(1)[0, 0] for each in (made, plain))
    assert float(error.max()) < 6 < 12 < float(usual.max())


def test_a_line_keeps_two_colours_apart() -> None:
    pixels = torch.full((1, 1, 64, 64), 100.0)
    pixels[..., 31:33] = 10
    chroma = torch.zeros(1, 2, 64, 64)
    chroma[:, 0, :, :32], chroma[:, 1, :, 32:] = 50, 50
    levels = pyramid.levels(pixels, 3)
    made = pyramid.levels(chroma, 3)[-1]
    for level in (2, 1, 0):
        made = pyramid.doubled(made, levels[level + 1], levels[level])
    off = (made - chroma).abs().amax(1)[0]
    assert float(off[:, :29].max()) < 8 and float(off[:, 35:].max()) < 8


def test_where_it_wraps_the_other_side_is_beside() -> None:
    pixels = torch.full((1, 1, 8, 8), 50.0)
    cells = pyramid.halved(pixels)
    chroma = torch.zeros(1, 2, 4, 4)
    chroma[..., 0] = 30
    assert float(pyramid.doubled(chroma, cells, pixels, (False, True))[0, 0, 0, -1]) > 1
    assert float(pyramid.doubled(chroma, cells, pixels)[0, 0, 0, -1]) == 0
    whole = pyramid.doubled(chroma, cells, pixels, (True, True))
    rolled = pyramid.doubled(chroma.roll(2, 3), cells, pixels, (True, True))
    assert torch.allclose(whole.roll(4, 3), rolled, atol=1e-5)


# --- strokes --------------------------------------------------------------------------------------------------------


def ring(side: int = 64, gap: bool = False) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2
    lightness = np.where(np.abs(np.hypot(y, x) - side / 4) < 1.5, 5, 100).astype(np.float32)
    if gap:
        lightness[side // 2 - 2 : side // 2 + 2, side // 2 :] = 100
    return lightness


def test_a_stroke_reaches_all_within_its_outline_and_nothing_beyond() -> None:
    lightness, marks = ring(), np.zeros((64, 64), bool)
    marks[30:34, 24:30] = True
    distance, index = geodesic.nearest(lightness, marks)
    y, x = np.mgrid[:64, :64] - 32
    inside, outside = np.hypot(y, x) < 13, np.hypot(y, x) > 19
    assert distance[inside].max() < 0.5 and distance[outside].min() > 3
    assert marks.ravel()[index].all(), "whatever is nearest is a mark"
    assert (distance[marks] == 0).all()


def test_of_two_strokes_the_nearer_one_counts() -> None:
    lightness, marks = np.full((20, 40), 60, np.float32), np.zeros((20, 40), bool)
    marks[10, 5] = marks[10, 34] = True
    _, index = geodesic.nearest(lightness, marks)
    assert (index[:, :19] == 10 * 40 + 5).all() and (index[:, 21:] == 10 * 40 + 34).all()


def test_distance_goes_around_corners_and_over_borders_that_wrap() -> None:
    lightness, marks = np.full((30, 30), 100, np.float32), np.zeros((30, 30), bool)
    lightness[:25, 15] = 0
    marks[2, 2] = True
    around, _ = geodesic.nearest(lightness, marks)
    assert around[2, 28] == pytest.approx((23 + 26 + 23) * geodesic.STEP, rel=0.1)
    over, _ = geodesic.nearest(lightness, marks, (False, True))
    assert over[2, 28] == pytest.approx(4 * geodesic.STEP, rel=1e-3)


def drawn(colour: tuple[float, float], rows: slice, columns: slice, cover: float = 1.0) -> Strokes:
    covered = torch.zeros(1, 1, 64, 64)
    covered[:, :, rows, columns] = cover
    chroma = torch.tensor(colour).view(1, 2, 1, 1) * (covered > 0)
    return Strokes(50 * (covered > 0).float(), chroma, covered)


def test_what_a_stroke_says_ends_at_the_outline() -> None:
    reach = drawn((40, -20), slice(30, 34), slice(24, 30)).reach(torch.from_numpy(ring())[None, None], (False, False))
    assert float(reach.share[0, 0, 32, 40]) > 0.98 and float(reach.share[0, 0, 2, 2]) < 0.06
    assert reach.chroma[0, :, 32, 40].tolist() == [40, -20] and float(reach.lightness[0, 0, 32, 40]) == 50


def test_a_thin_stroke_counts_when_it_is_seen_small() -> None:
    thin = drawn((40, 0), slice(10, 50), slice(20, 21), 0.4).halved().halved()
    assert thin.marks.any() and float(thin.covered.max()) == pytest.approx(0.1)
    assert thin.chroma[:, 0][thin.marks[:, 0]].tolist() == pytest.approx([40] * int(thin.marks.sum()), rel=1e-3)


def test_nothing_drawn_marks_nothing() -> None:
    assert not drawn((0, 0), slice(0, 0), slice(0, 0)).marks.any()
