"""Quilting: any size, only usable pixels, seams like the inside, along borders that wrap as well."""

from __future__ import annotations

import pytest
import torch
from skimage import data
from torch import Tensor

from samovar.texture import quilt


def bricks(side: int = 96) -> Tensor:
    """(side, side, 1), 0..1"""
    whole = torch.from_numpy(data.brick().copy()).float()[None, None] / 255
    small = torch.nn.functional.interpolate(whole, (side, side), mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).contiguous()


def sewn(sample: Tensor, size: tuple[int, int], wrap: tuple[bool, bool] = (False, False), seed: int = 0) -> Tensor:
    usable = torch.ones(sample.shape[:2], dtype=torch.bool)
    at = quilt.quilt(sample, usable, size, wrap, torch.Generator().manual_seed(seed))
    return sample.flatten(0, 1)[at]


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("size", [1, 5, 24, 37, 100, 256])
def test_blocks_cover_an_axis_and_overlap(size: int, wraps: bool) -> None:
    spans = quilt.spans(size, 24, 8, wraps)
    covered = [0] * size
    for index, span in enumerate(spans):
        for at in range(span.start, span.start + span.size):
            assert wraps or at < size
            covered[at % size] += 1
        assert not index or span.before >= min(8, size // 2)
    assert min(covered) >= 1
    assert not wraps or len(spans) == 1 or spans[-1].after >= min(8, size // 2) - 1


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (64, 64), (130, 77)])
@pytest.mark.parametrize("wrap", [(False, False), (True, False), (True, True)])
def test_any_size(size: tuple[int, int], wrap: tuple[bool, bool]) -> None:
    made = sewn(bricks(48), size, wrap)
    assert made.shape == (*size, 1)


def test_only_usable_pixels_are_copied() -> None:
    sample = bricks(64)
    usable = torch.ones(64, 64, dtype=torch.bool)
    usable[20:28, 30:36] = False
    at = quilt.quilt(sample, usable, (90, 90), (True, True), torch.Generator().manual_seed(1))
    assert bool(usable.flatten()[at].all())


def test_single_pixels_are_enough() -> None:
    usable = torch.zeros(9, 9, dtype=torch.bool)
    usable[::2, ::2] = True
    at = quilt.quilt(torch.rand(9, 9, 3), usable, (12, 12), (True, True), torch.Generator().manual_seed(1))
    assert bool(usable.flatten()[at].all())


def test_nothing_usable_says_so() -> None:
    with pytest.raises(quilt.NoWholeBlock):
        quilt.quilt(torch.rand(9, 9, 3), torch.zeros(9, 9, dtype=torch.bool), (4, 4), (False, False), torch.Generator())


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    assert torch.equal(sewn(bricks(), (80, 80)), sewn(bricks(), (80, 80)))
    assert not torch.equal(sewn(bricks(), (80, 80)), sewn(bricks(), (80, 80), seed=1))


@pytest.mark.parametrize("axis", [0, 1])
def test_what_wraps_has_no_seam(axis: int) -> None:
    made = sewn(bricks(), (120, 120), (True, True))
    steps = made.diff(dim=axis).abs().mean((2, 1 - axis))
    seam = (made.select(axis, 0) - made.select(axis, -1)).abs().mean()
    assert seam <= steps.quantile(0.98)


def test_how_well_places_agree_is_what_a_sum_over_pixels_says() -> None:
    sample, block = torch.rand(12, 10, 3), torch.rand(4, 5, 3)
    known = torch.rand(4, 5) < 0.6
    found = quilt._Agreement(sample).errors(block, known)
    assert found.shape == (9, 6)
    for y, x in ((0, 0), (3, 2), (8, 5)):
        expected = ((sample[y : y + 4, x : x + 5] - block).square().sum(2) * known).sum()
        assert float(found[y, x]) == pytest.approx(float(expected), abs=1e-4)


def test_the_cut_goes_where_the_two_differ_least() -> None:
    difference = torch.ones(6, 5)
    way = [1, 2, 3, 3, 2, 3]
    for row, column in enumerate(way):
        difference[row, column] = 0
    assert quilt._path(difference.numpy()).tolist() == way


def test_it_can_be_stopped() -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        quilt.quilt(bricks(), torch.ones(96, 96, dtype=torch.bool), (64, 64), (False, False), torch.Generator(), stop)
