"""Tiles of a picture that is fitted: they cover it, fade into each other, go on at the other side where it wraps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from samovar.prior.observation import Observation
from samovar.prior.recipes import FAST
from samovar.prior.skip import Shape
from samovar.worker.image import Image
from samovar.worker.mosaic import Mosaic, spans
from samovar.worker.region import Box
from samovar.worker.tiling import Wrap

TINY = dataclasses.replace(FAST["denoise"], shape=Shape((4,), (2,), 3))


@given(st.integers(1, 500), st.integers(40, 200), st.integers(0, 32), st.booleans())
def test_spans_cover_an_axis_and_overlap_where_they_fade(size: int, side: int, overlap: int, wraps: bool) -> None:
    found = spans(size, side, overlap, wraps)
    seen = np.zeros(size, int)
    for span in found:
        assert 1 <= span.length <= max(side, min(size, side) + overlap) + 1
        np.add.at(seen, np.arange(span.start, span.start + span.length) % size, 1)
    assert seen.min() >= 1
    for one, next_one in zip(found, found[1:], strict=False):
        assert one.fades[1] and next_one.fades[0]
        assert one.start + one.length - next_one.start >= min(overlap, size)
    if not wraps:
        assert not found[0].fades[0] and not found[-1].fades[1]
        assert found[0].start == 0 and found[-1].start + found[-1].length == size


def mosaic(values: Image, side: int, wrap: Wrap = (False, False), factor: int = 1) -> Mosaic:
    observation = Observation(values, torch.ones(1, 1, *values.shape[-2:]), factor)
    plain = values.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    return Mosaic(observation, plain, TINY, 0, side, wrap)


class Drawn:
    """Stands for a fit that has come to a picture."""

    def __init__(self, picture: Image) -> None:
        self.picture = picture


def draw(made: Mosaic, picture: Image) -> None:
    """Let every tile be what it should be of a picture."""
    factor = made._observation.factor
    height, width = picture.shape[-2:]
    for index, (rows, columns) in enumerate(made._tiles):
        y = torch.arange(rows.start * factor, (rows.start + rows.length) * factor) % height
        x = torch.arange(columns.start * factor, (columns.start + columns.length) * factor) % width
        made._fits[index] = Drawn(picture[:, :, y][:, :, :, x])  # type: ignore[assignment]


@pytest.mark.parametrize("wrap", [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (20, 90), (150, 130)])
def test_tiles_of_a_picture_make_the_picture(wrap: Wrap, factor: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    made = mosaic(torch.rand(1, 3, *size, generator=generator), 96, wrap, factor)
    whole = torch.rand(1, 3, size[0] * factor, size[1] * factor, generator=generator)
    draw(made, whole)
    assert made.size == tuple(whole.shape[-2:])
    assert torch.allclose(made.picture(Box(0, 0, *made.size)), whole, atol=1e-5)
    part = Box(0, made.size[1] // 2, made.size[0], made.size[1] - made.size[1] // 2)
    assert torch.allclose(made.picture(part), whole[:, :, part.rows, part.columns], atol=1e-5)


def test_tiles_that_differ_fade_into_each_other() -> None:
    made = mosaic(torch.zeros(1, 1, 64, 160), 96)
    assert len(made) == 2
    for index, (rows, columns) in enumerate(made._tiles):
        made._fits[index] = Drawn(torch.full((1, 1, rows.length, columns.length), float(index)))  # type: ignore[assignment]
    line = made.picture(Box(0, 0, 64, 160))[0, 0, 0]
    steps = line.diff()
    assert float(line[0]) == 0 and float(line[-1]) == 1
    assert float(steps.min()) >= 0 and float(steps.max()) < 0.06


def test_what_has_not_begun_shows_as_it_was() -> None:
    values = torch.rand(1, 3, 64, 160)
    made = mosaic(values, 96)
    assert torch.equal(made.picture(Box(0, 0, 64, 160)), values)


def test_tiles_begin_with_the_same_network_and_the_same_noise() -> None:
    made = mosaic(torch.rand(1, 3, 64, 160), 96)
    one, other = made.fit(0), made.fit(1)
    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)
    apart = made._tiles[1][1].start
    wide = made._tiles[0][1].length - apart
    assert torch.equal(one._source[..., :64, apart : apart + wide], other._source[..., :64, :wide])


def test_where_a_tile_shows() -> None:
    made = mosaic(torch.rand(1, 3, 40, 200), 120, (False, True))
    boxes = [box for index in range(len(made)) for box in made.boxes(index)]
    covered = np.zeros((40, 200), bool)
    for box in boxes:
        covered[box.rows, box.columns] = True
    assert covered.all() and len(boxes) > len(made)
