"""What a mask asks to be filled: parts, growth, shares."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from samovar.operation import Edge
from samovar.worker.holes import LONG, Hole, distances, parts
from samovar.worker.region import Box

NOWHERE = (False, False)


def mask(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    made = np.zeros((height, width), np.uint8)
    for top, left, tall, wide in boxes:
        made[top : top + tall, left : left + wide] = 255
    return made


def covers(box: Box, top: int, left: int, height: int, width: int) -> bool:
    return (
        box.top <= top and box.left <= left and box.top + box.height >= top + height
        and box.left + box.width >= left + width
    )  # fmt: skip


def test_nothing_selected_has_no_parts() -> None:
    assert parts(mask(40, 40), 5, NOWHERE) == []


def test_what_is_far_apart_is_two_parts_and_what_is_near_is_one() -> None:
    far, near = mask(300, 300, (10, 10, 20, 20), (200, 220, 9, 9)), mask(300, 300, (10, 10, 20, 20), (40, 10, 20, 20))
    first, second = parts(far, 4, NOWHERE)
    assert covers(first, 10, 10, 20, 20) and covers(second, 200, 220, 9, 9)
    assert max(first.height, first.width) < 40
    (both,) = parts(near, 10, NOWHERE)
    assert covers(both, 10, 10, 50, 20)


@pytest.mark.parametrize("margin", [0, 5, 20])
def test_margins_of_two_parts_never_overlap(margin: int) -> None:
    rng = np.random.default_rng(margin)
    for _ in range(20):
        places = rng.integers(0, 280, (6, 2))
        found = parts(mask(300, 300, *[(int(y), int(x), 12, 12) for y, x in places]), margin, NOWHERE)
        for index, one in enumerate(found):
            for other in found[index + 1 :]:
                apart = max(
                    one.top - other.top - other.height, other.top - one.top - one.height,
                    one.left - other.left - other.width, other.left - one.left - one.width,
                )  # fmt: skip
                cells = mask(300, 300, *[(int(y), int(x), 12, 12) for y, x in places])
                assert apart > margin or not _touch(cells, one, other, margin)


def _touch(pixels: np.ndarray, one: Box, other: Box, margin: int) -> bool:
    """Whether pixels of the two boxes, which may interlock, are at most `margin` apart."""
    first, second = (np.argwhere(pixels[box.rows, box.columns]) + (box.top, box.left) for box in (one, other))
    return bool((np.abs(first[:, None] - second[None]).max(2) <= margin).any())


def test_a_part_goes_on_beyond_a_border_that_wraps() -> None:
    pixels = mask(100, 90, (90, 30, 10, 10), (0, 30, 12, 10))
    assert len(parts(pixels, 0, NOWHERE)) == 2
    (box,) = parts(pixels, 0, (True, False))
    rows = {row % 100 for row in range(box.top, box.top + box.height)}
    assert rows >= {*range(90, 100), *range(12)} and box.height < 40


def test_a_part_from_end_to_end_of_an_axis_that_wraps_is_all_of_it() -> None:
    (box,) = parts(mask(64, 50, (20, 0, 5, 50)), 0, (False, True))
    assert (box.left, box.width) == (0, 50)


def test_a_long_scratch_is_cut_into_segments_that_cover_it() -> None:
    size = 2 * LONG
    pixels = np.zeros((size, size), np.uint8)
    index = np.arange(size)
    pixels[index, index] = 255
    found = parts(pixels, 4, NOWHERE)
    assert len(found) > 4 and max(max(box.height, box.width) for box in found) <= LONG // 2
    covered = np.zeros_like(pixels)
    for box in found:
        covered[box.rows, box.columns] = 1
    assert covered[pixels > 0].all()


def test_distances_are_those_of_the_plane() -> None:
    pixels = torch.zeros((41, 60), dtype=torch.bool)
    pixels[20, 30] = pixels[3, 50] = True
    y, x = torch.meshgrid(torch.arange(41.0), torch.arange(60.0), indexing="ij")
    expected = torch.minimum(((y - 20) ** 2 + (x - 30) ** 2).sqrt(), ((y - 3) ** 2 + (x - 50) ** 2).sqrt())
    torch.testing.assert_close(distances(pixels, 12), expected.clamp(max=13))
    assert (distances(torch.zeros((5, 5), dtype=torch.bool), 3) == 4).all()


def test_the_share_is_1_in_the_hole_and_falls_to_0_over_the_margin() -> None:
    pixels = torch.zeros((1, 1, 80, 80))
    pixels[..., 30:50, 30:50] = 1
    hole = Hole.of(pixels, Edge(grow=4, margin=12, fade=8))
    assert hole.core[27, 40] and not hole.core[25, 40] and hole.core.sum() > 400
    share = hole.share[0, 0]
    assert (share[hole.core] == 1).all()
    down = share[50:70, 40]
    assert (down.diff() <= 0).all() and down[7] == 1 and 0 < down[14] < 1 and down[17] == 0
    assert ((share > 0) == (distances(hole.core, 12) < 13)).all()


def test_exactly_the_selection_is_its_own_share() -> None:
    pixels = torch.rand((1, 1, 20, 30), generator=torch.Generator().manual_seed(0)) - 0.5
    pixels.clamp_(0, 1)
    hole = Hole.of(pixels, Edge())
    assert torch.equal(hole.share, pixels) and torch.equal(hole.core, pixels[0, 0] > 0)


def test_growth_never_takes_the_last_pixel_that_is_known() -> None:
    pixels = torch.ones((1, 1, 12, 12))
    pixels[..., 0, 0] = 0
    assert not Hole.of(pixels, Edge(grow=4)).core[0, 0]
