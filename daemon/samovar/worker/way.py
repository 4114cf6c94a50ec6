"""One layer on its way through one operation, all of it or box by box."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from samovar.operation import Operation
from samovar.worker import frame
from samovar.worker.image import Alpha, Image, has_alpha, read
from samovar.worker.model_job import ModelJob
from samovar.worker.region import Box
from samovar.worker.survey import Survey
from samovar.worker.tiling import Tile, View, layout
from samovar_link.messages import Raster

MAX_DENOMINATOR = 16
"""Of the scale, up to which parts are cut where pixels of the layer and of the result meet."""
BAND_ROWS = 256

Pixels = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Way:
    """source : the pixels of the layer that `raster` describes"""

    operation: Operation
    params: object
    job: ModelJob
    source: Pixels
    raster: Raster

    @functools.cached_property
    def scale(self) -> Fraction:
        """Pixels of the result per pixel of the layer."""
        if self.operation.output_size is None:
            return Fraction(1)
        side = 1 << 20
        return Fraction(self.operation.output_size(side, 1, self.params)[0], side).limit_denominator(MAX_DENOMINATOR)

    @functools.cached_property
    def pitch(self) -> int:
        """Boxes that begin and end at multiples of this lie in the result where they do in the layer."""
        return math.lcm(frame.pitch(self.operation, self.params, self.job), self.scale.denominator)

    @functools.cached_property
    def whole(self) -> frame.Whole:
        """What all of the layer decides. Read in bands: as numbers it would not fit."""
        gray, least, most = self.raster.channels in (3, 4), None, None
        for top in range(0, self.raster.height, BAND_ROWS):
            band = self.source[top : top + BAND_ROWS]
            if gray:
                gray = bool((band[..., 0] == band[..., 1]).all() and (band[..., 0] == band[..., 2]).all())
            if has_alpha(self.raster):
                low, high = band[..., -1].min(), band[..., -1].max()
                least, most = (low, high) if least is None else (min(least, low), max(most, high))
        return frame.Whole(gray, least != most)

    def part(self, box: Box, show: frame.Show | None, whole: bool = True) -> tuple[Image, Alpha | None]:
        """A box of the layer through the operation, seen with what is around it.

        whole : all that is asked for; otherwise one of several pieces, which have to fit together
        """
        height, width = self.source.shape[:2]
        if (box.height, box.width) == (height, width):
            self.job.view = self._view(Box(0, 0, height, width))
            return frame.apply(self.operation, self.params, self.job, *read(self.source, self.raster), show)
        if not whole and self.job.survey is None:
            tiles = layout(height, width, 128, self.pitch)
            self.job.survey = Survey(tiles, self.seen, lambda each: self._through(each, None, False))
        return self._through(box, show, whole)

    def seen(self, box: Box) -> Box:
        """A box with what the operation sees around it."""
        height, width = self.source.shape[:2]
        reach = frame.reach(self.operation, self.params, self.job)
        return box.grown(reach, self.pitch, height, width, self.job.wrap)

    def _through(self, box: Box, show: frame.Show | None, whole: bool) -> tuple[Image, Alpha | None]:
        job, seen, (height, width) = self.job, self.seen(box), self.source.shape[:2]
        wrap, view = job.wrap, job.view
        job.wrap = (wrap[0] and seen.height == height, wrap[1] and seen.width == width)
        job.view = self._view(seen)
        try:
            image, alpha = read(cut(self.source, seen), self.raster)
            place = self._place(box, seen, image)
            facts = None if whole else self.whole
            colour, opacity = frame.apply(
                self.operation, self.params, job, image, alpha, show and _within(place, show), facts
            )
        finally:
            job.wrap, job.view = wrap, view
        rows, columns = place
        return colour[:, :, rows, columns], None if opacity is None else opacity[:, :, rows, columns]

    def _place(self, box: Box, seen: Box, image: Image) -> tuple[slice, slice]:
        """Rows and columns of a box in the result of what is seen."""
        place = box.within(seen)
        if self.operation.output_size is None:
            return place
        size = frame.result_size(self.operation, self.params, image)
        wide, high = self.operation.output_size(box.width, box.height, self.params)
        top, left = (math.floor(side.start * self.scale + Fraction(1, 2)) for side in place)
        top, left = min(top, size[0] - high), min(left, size[1] - wide)
        return slice(top, top + high), slice(left, left + wide)

    def _view(self, box: Box) -> View | None:
        """What the user looks at, in shares of a box of the layer."""
        seen = self.job.run.viewport
        if seen is None:
            return None
        top, left = (seen.y - box.top) / box.height, (seen.x - box.left) / box.width
        return top, left, top + seen.height / box.height, left + seen.width / box.width


def _within(place: tuple[slice, slice], show: frame.Show) -> frame.Show:
    """Shows what lies in a place, counted from there."""

    def cut(colour: Image, alpha: Alpha | None, at: Tile) -> None:
        spans = []
        for side, start, length in zip(place, (at.top, at.left), (at.height, at.width), strict=True):
            spans.append((max(start, side.start), min(start + length, side.stop)))
        (top, bottom), (left, right) = spans
        if top >= bottom or left >= right:
            return
        rows, columns = slice(top - at.top, bottom - at.top), slice(left - at.left, right - at.left)
        part = Tile(top - place[0].start, left - place[1].start, bottom - top, right - left)
        show(colour[:, :, rows, columns], None if alpha is None else alpha[:, :, rows, columns], part)

    return cut


def cut(source: Pixels, box: Box) -> Pixels:
    """A box of the layer, which goes on at its other side."""
    for axis, start, length in ((0, box.top, box.height), (1, box.left, box.width)):
        if start >= 0 and start + length <= source.shape[axis]:
            source = source[start : start + length] if axis == 0 else source[:, start : start + length]
        else:
            source = source.take(np.arange(start, start + length), axis, mode="wrap")
    return source
