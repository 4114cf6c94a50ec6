"""The way of a layer through `texture`: a piece of its own grown from a sample, or a fill.

A fill keeps what is around it and is seen together with that, so that it meets it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from samovar.models.texture import PATCHES
from samovar.operations.texture import FILL, Params
from samovar.texture import grow
from samovar.texture.grow import Sample
from samovar.texture.histogram import evened
from samovar.texture.weave import weave
from samovar.worker import layer, region, swatch
from samovar.worker.alpha import constant, mixed
from samovar.worker.growth import WOVEN_SHARE, Growth
from samovar.worker.image import Alpha, read, write, write_alpha, write_colour
from samovar.worker.inpainting import parted
from samovar.worker.region import Box, Mask
from samovar.worker.way import Pixels, Way, cut
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster
from samovar_link.request import MASK

MOST_PIXELS, MOST_SAMPLE_PIXELS = 1 << 24, 1 << 22
"""Of what is grown, and of a sample or what is seen around a fill."""
CONTEXT = (64, 256)
"""Pixels seen around a fill, the least and the most: its longer side between."""
HALF = 0.5
"""Of a mask, from where on a pixel is in the sample."""
STAGE = "growing"


def run(
    way: Way, scope: Box, frames: Sequence[memoryview], allocate: Callable[[int], memoryview]
) -> tuple[dict[str, Raster], list[memoryview]]:
    """See `Operation.own_way`. Raises BadRequest for what is too large, or a sample that holds nothing."""
    assert isinstance(way.params, Params)
    mask = layer.mask_over(way.job, way.raster, scope, frames)
    if way.params.result == FILL:
        return _Fill(way, way.params, allocate, scope, mask).run(frames)
    return _Piece(way, way.params, allocate, scope, mask).run()


# --- a piece of its own ---------------------------------------------------------------------------------------------


class _Piece(Growth):
    """All of the layer, or what is selected, is the sample."""

    def __init__(
        self, way: Way, params: Params, allocate: Callable[[int], memoryview], scope: Box, mask: Mask | None
    ) -> None:
        super().__init__(way, params, allocate)
        raster = way.raster
        width, height = params.width or scope.width, params.height or scope.height
        swatch.check_size("size", width, height, MOST_PIXELS, "choose a smaller one, and enlarge it with upscale")
        swatch.check_size("sample", scope.width, scope.height, MOST_SAMPLE_PIXELS, "select a part of it")
        self.like = dataclasses.replace(
            raster, width=width, height=height, x=raster.x + scope.left, y=raster.y + scope.top, frame=0
        )
        image, alpha = read(cut(way.source, scope), raster)
        image = image[:, :1] if self.gray else image
        usable = torch.ones(image.shape[-2:], dtype=torch.bool) if mask is None else mask[0, 0] >= HALF
        self._level, self._alpha = 1.0, False
        if alpha is not None:
            self._alpha, usable = swatch.transparency(alpha, usable)
        if not bool(usable.any()):
            raise BadRequest.field(
                "texture sample", "nothing", "something", "select a part of it that is not transparent"
            )
        if alpha is not None:
            self._level = float(alpha[0, 0][usable].max())
        self._range = swatch.range_of(image, usable)
        self._usable = usable
        self._planes = swatch.planes(self._range.narrowed(image), alpha if self._alpha else None)

    def run(self) -> tuple[dict[str, Raster], list[memoryview]]:
        return self.variants(self._made, self._put)

    def _made(self, generator: torch.Generator) -> Tensor:
        size, wrap = (self.like.height, self.like.width), self.job.wrap
        sample = Sample(swatch.picture(self._planes), self._alpha, self._usable[None, None].float())
        self.job.progress(0.0, STAGE)
        if self.from_noise and self.job.card(self.params.model).architecture != PATCHES:
            start = grow.noise(sample, size, generator)
        else:
            start = swatch.picture(weave(self._planes, self._usable, size, wrap, generator, self.job.check))
            start = start if self._alpha else evened(start, sample.values)
        if self.job.run.stream:
            self.show(start)
        self.job.progress(WOVEN_SHARE, STAGE)
        return self.grown(sample, start, wrap, generator)

    def _put(self, picture: Tensor, pixels: Pixels) -> None:
        if self._alpha:
            colour, alpha = parted(picture[0].permute(1, 2, 0))
        else:
            colour, alpha = picture, torch.full((1, 1, *picture.shape[-2:]), self._level)
        colour = self._range.widened(colour)
        write(colour.expand(-1, 3, -1, -1) if self.gray else colour, alpha, pixels, self.like)

    def show(self, picture: Tensor) -> None:
        memory = self.allocate(self.like.size_bytes)
        self._put(picture.detach().cpu(), layer.array(memory, self.like))
        self.job.show(self.like, memory, self.like)


# --- a fill ---------------------------------------------------------------------------------------------------------


class _Fill(Growth):
    """What is selected is filled, and what is around it is the sample."""

    def __init__(
        self, way: Way, params: Params, allocate: Callable[[int], memoryview], scope: Box, mask: Mask | None
    ) -> None:
        super().__init__(way, params, allocate)
        assert mask is not None
        self._scope, self._mask = scope, mask
        raster = way.raster
        self.like = dataclasses.replace(
            raster, height=scope.height, width=scope.width, x=raster.x + scope.left, y=raster.y + scope.top, frame=0
        )
        self._place = region.bounds(mask)

    def run(self, frames: Sequence[memoryview]) -> tuple[dict[str, Raster], list[memoryview]]:
        if self._place is not None:
            self._look(self._place, frames)
        images, results = self.variants(self._made, self._put)
        covered = dataclasses.replace(self.like, channels=1, dtype="u8", order="rgba", frame=len(results))
        results.append(self.allocate(covered.size_bytes))
        layer.array(results[-1], covered)[..., 0] = self._mask[0, 0].mul(255).ceil_().numpy()
        return {**images, MASK: covered}, results

    def _look(self, place: Box, frames: Sequence[memoryview]) -> None:
        """At what is to be filled, with what is around it."""
        raster, wrap = self.way.raster, self.job.wrap
        box = dataclasses.replace(place, top=place.top + self._scope.top, left=place.left + self._scope.left)
        context = min(max(max(box.height, box.width), CONTEXT[0]), CONTEXT[1])
        seen = box.grown(context, 1, raster.height, raster.width, wrap)
        swatch.check_size("fill", seen.width, seen.height, MOST_SAMPLE_PIXELS, "select less at once")
        image, alpha = read(cut(self.way.source, seen), raster)
        image = image[:, :1] if self.gray else image
        mask = layer.mask_over(self.job, raster, seen, frames)
        assert mask is not None
        self._inner = box.within(seen)
        self._wrap = wrap[0] and seen.height == raster.height, wrap[1] and seen.width == raster.width
        self._hole = mask[0, 0] > 0
        self._hole[self._inner] |= self._mask[0, 0, place.rows, place.columns] > 0
        self._usable = ~self._hole
        self._alpha = alpha is not None and constant(alpha) is None
        if alpha is not None and self._alpha:
            _, self._usable = swatch.transparency(alpha, self._usable)
        if not bool(self._usable.any()):
            raise BadRequest.field(
                "texture mask", "all that is seen around it", "a part of it", "leave something unselected to fill from"
            )
        self._range = swatch.range_of(image, self._usable)
        self._planes = swatch.planes(self._range.narrowed(image), alpha if self._alpha else None)

    def _made(self, generator: torch.Generator) -> Tensor:
        if self._place is None:
            return torch.zeros(0)
        self.job.progress(0.0, STAGE)
        size = self._hole.shape[0], self._hole.shape[1]
        started = weave(self._planes, self._usable, size, self._wrap, generator, self.job.check, ~self._hole)
        start, sample = (
            swatch.picture(started),
            Sample(swatch.picture(self._planes), self._alpha, self._usable[None, None].float()),
        )
        if not self._alpha:
            start[..., self._hole] = evened(start[..., self._hole].unsqueeze(2), sample.values)[:, :, 0]
        self.job.progress(WOVEN_SHARE, STAGE)
        if self.job.run.stream:
            self.show(start)
        return self.grown(sample, start, self._wrap, generator, (~self._hole)[None, None].float())

    def _put(self, picture: Tensor, pixels: Pixels) -> None:
        np.copyto(pixels, cut(self.way.source, self._scope))
        if self._place is None:
            return
        rows, columns = self._inner
        part, place = picture[:, :, rows, columns], self._place
        target = pixels[place.rows, place.columns]
        mask = self._mask[:, :, place.rows, place.columns]
        opacity: Alpha | None = None
        if self._alpha:
            part, opacity = parted(part[0].permute(1, 2, 0))
        colour = self._range.widened(part)
        colour = colour.expand(-1, 3, -1, -1) if self.gray else colour
        old, before = read(target, self.like)
        if opacity is None or before is None:
            layer.overwrite(target, self.like, colour, before, mask)
            return
        takes = mask[0, 0] > 0
        together, covering = mixed(old, before, colour, opacity, mask)
        write_colour(together, target, self.like, takes)
        fresh = np.ascontiguousarray(target)
        write_alpha(covering, fresh, self.like)
        target[..., -1][takes.numpy()] = fresh[..., -1][takes.numpy()]

    def show(self, picture: Tensor) -> None:
        memory = self.allocate(self.like.size_bytes)
        self._put(picture.detach().cpu(), layer.array(memory, self.like))
        self.job.show(self.like, memory, self.like)
