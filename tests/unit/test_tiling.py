"""Cutting pictures into tiles: every pixel once, all of the context, any size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from laboratory import Smear, noise, smear_card

from samovar.worker.enlarge import enlarge
from samovar.worker.passage import Passage
from samovar.worker.tiling import beyond, layout

sides = st.integers(1, 70)


@given(height=sides, width=sides, side=st.integers(1, 40), multiple=st.sampled_from([1, 4]))
def test_tiles_cover_the_picture_once_and_lie_on_the_grid(height: int, width: int, side: int, multiple: int) -> None:
    covered = torch.zeros(height + multiple, width + multiple)
    for tile in layout(height, width, side, multiple):
        assert tile.top % multiple == tile.left % multiple == tile.height % multiple == tile.width % multiple == 0
        assert max(tile.height, tile.width) < max(side, multiple) + multiple
        assert tile.top + tile.height < height + multiple and tile.left + tile.width < width + multiple
        covered[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] += 1
    assert (covered[:height, :width] == 1).all()


def test_tiles_share_the_picture_out_evenly() -> None:
    assert {tile.width for tile in layout(1, 257, 256, 1)} == {129, 128}


def test_a_picture_goes_on_as_its_mirror_image_with_its_last_row_twice() -> None:
    assert beyond(torch.arange(-3, 8), 5, 3, False).tolist() == [2, 1, 0, 0, 1, 2, 3, 4, 4, 3, 2]


def test_a_picture_smaller_than_the_context_goes_on_as_its_border() -> None:
    assert beyond(torch.arange(-3, 5), 2, 3, False).tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_wrapped_picture_goes_on_at_its_other_side() -> None:
    assert beyond(torch.arange(-3, 5), 2, 3, True).tolist() == [1, 0, 1, 0, 1, 0, 1, 0]


def picture(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(noise(1, channels, height, width, dtype="f32"))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 3), (13, 17), (33, 50)])
@pytest.mark.parametrize("wrap", [(False, False), (True, False), (True, True)])
def test_tiles_of_any_size_give_the_same_pixels(size: tuple[int, int], wrap: tuple[bool, bool]) -> None:
    image, network, card = picture(*size), Smear(), smear_card()
    whole, number = enlarge(image, Passage(network, card, wrap=wrap, side=1000))
    assert number == 1 and whole.shape[2:] == (2 * size[0], 2 * size[1])
    for side in (1, 5, 16):
        tiled, _ = enlarge(image, Passage(network, card, wrap=wrap, side=side))
        torch.testing.assert_close(tiled, whole, atol=1e-6, rtol=0)


def test_a_wrapped_picture_repeats_without_a_seam() -> None:
    image, network, card = picture(9, 11), Smear(), smear_card()
    once, _ = enlarge(image, Passage(network, card, wrap=(True, True)))
    thrice, _ = enlarge(image.repeat(1, 1, 3, 3), Passage(network, card))
    torch.testing.assert_close(once, thrice[:, :, 18:36, 22:44], atol=1e-6, rtol=0)


def test_gray_goes_through_as_equal_channels() -> None:
    gray = picture(20, 20, channels=1)
    colour, _ = enlarge(gray.expand(-1, 3, -1, -1), Passage(Smear(), smear_card()))
    alone, _ = enlarge(gray, Passage(Smear(), smear_card()))
    torch.testing.assert_close(alone, colour[:, :1], atol=1e-6, rtol=0)


def test_every_tile_tells_how_far_the_work_is() -> None:
    told: list[float] = []
    _, number = enlarge(picture(40, 40), Passage(Smear(), smear_card(), told.append, side=20))
    assert number == 4 and told == [0.0, 0.25, 0.5, 0.75, 1.0]
