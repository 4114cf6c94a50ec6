"""The way of a layer through `colorize`: seen small by a network, coloured at full size.

All of the layer decides its colours, whatever part of it is asked for: it is shrunk band by band to what the network
sees, the colours come back level by level along the lightness (see `chroma.pyramid`), and the last levels, up to the
layer's own size, piece by piece, so that memory does not grow with the layer. What is transparent counts as white: line
art is often drawn on nothing.

Lightness is the layer's own. So white stays white, and line art, whose areas are all white, gets its colour as a layer
of its own that is multiplied: each colour there as light as sRGB holds it, or as the stroke was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from samovar.chroma import lab, pyramid
from samovar.operations.colorize import COLOR, PICTURE, Params
from samovar.worker import colour_plan, heap, layer, region
from samovar.worker.colour_plan import STAGE, WHITE, Plan, over_white, tones
from samovar.worker.image import LEVELS, has_alpha, read, write_alpha, write_colour
from samovar.worker.region import Box, Mask
from samovar.worker.tiling import layout
from samovar.worker.way import Pixels, Way, cut
from samovar_link.messages import Raster

PIECE_SIDE = 512
BARE = 12.0
"""Chroma from where on a colour layer is opaque where the layer itself is transparent."""
DARKEST, BRIGHTEST = 40.0, 85.0
"""Lightness of a layer of mere colour: nearly every colour finds room there, and lines do not show."""


def run(
    way: Way, scope: Box, frames: Sequence[memoryview], allocate: Callable[[int], memoryview]
) -> tuple[dict[str, Raster], list[memoryview]]:
    """See `Operation.own_way`."""
    params, job = way.params, way.job
    assert isinstance(params, Params)
    like = _result(way.raster, scope, params)
    memory = allocate(like.size_bytes)
    target = layer.array(memory, like)
    mask = layer.mask_over(job, way.raster, scope, frames)
    if params.result == PICTURE:
        _spread(cut(way.source, scope), way.raster, target)
    else:
        target[...] = 0
    place = Box(0, 0, scope.height, scope.width) if mask is None else region.bounds(mask)
    if place is not None:
        plan = colour_plan.plan(way, params, frames)
        if plan is not None:
            _paint(way, params, plan, scope, place, mask, target, like)
    job.progress(1.0)
    return {way.operation.roles[0]: like}, [memory]


def _result(raster: Raster, scope: Box, params: Params) -> Raster:
    channels = 4 if params.result != PICTURE or has_alpha(raster) else 3
    return dataclasses.replace(
        raster, height=scope.height, width=scope.width, x=raster.x + scope.left, y=raster.y + scope.top, frame=0,
        channels=channels,
    )  # fmt: skip


def _spread(source: Pixels, raster: Raster, target: Pixels) -> None:
    """The layer's own pixels; gray ones in three channels."""
    if raster.channels >= 3:
        np.copyto(target, source)
        return
    target[..., :3] = source[..., :1]
    if has_alpha(raster):
        target[..., 3] = source[..., 1]


# --- at full size ---------------------------------------------------------------------------------------------------


def _paint(
    way: Way, params: Params, plan: Plan, scope: Box, place: Box, mask: Mask | None, target: Pixels, like: Raster
) -> None:
    """What the mask leaves of a scope, piece by piece."""
    pitch = 1 << plan.depth
    box = dataclasses.replace(place, top=place.top + scope.top, left=place.left + scope.left)
    top, left = box.top // pitch * pitch, box.left // pitch * pitch
    side = max(pitch, PIECE_SIDE // pitch * pitch)
    tiles = layout(box.top + box.height - top, box.left + box.width - left, side, pitch)
    for index, tile in enumerate(tiles):
        way.job.progress(0.2 + 0.8 * index / len(tiles), STAGE)
        first, start = max(tile.top + top, box.top), max(tile.left + left, box.left)
        end = min(tile.top + top + tile.height, box.top + box.height)
        stop = min(tile.left + left + tile.width, box.left + box.width)
        here = Box(first, start, end - first, stop - start)
        inside = dataclasses.replace(here, top=here.top - scope.top, left=here.left - scope.left)
        taken = None if mask is None else mask[:, :, inside.rows, inside.columns]
        if taken is None or taken.any():
            _piece(way, params, plan, here, taken, target[inside.rows, inside.columns], like)
        heap.give_back_now_and_then()


def _piece(
    way: Way, params: Params, plan: Plan, box: Box, mask: Mask | None, target: Pixels, like: Raster
) -> None:  # fmt: skip
    pitch, raster, wrap = 1 << plan.depth, way.raster, way.job.wrap
    seen = box.grown(pyramid.HALO * pitch, pitch, raster.height, raster.width, wrap)
    source = cut(way.source, seen)
    image, alpha = read(source, raster)
    light, level = tones(way, source, image)
    sizes = pyramid.levels(over_white(level, alpha), plan.depth)
    fill = _cells(plan.fill, seen, pitch, (raster.height, raster.width), sizes[-1])
    wrap = wrap[0] and seen.height == raster.height, wrap[1] and seen.width == raster.width
    for halvings in range(plan.depth, 0, -1):
        fill = pyramid.doubled(fill, sizes[halvings], sizes[halvings - 1], wrap)
    rows, columns = box.within(seen)
    image, light, level, fill = (each[:, :, rows, columns] for each in (image, light, level, fill))
    alpha = None if alpha is None else alpha[:, :, rows, columns]
    if params.result == PICTURE:
        colour = lab.image(light, fill, level)
        if raster.dtype not in LEVELS:
            colour += image - image.clamp(0, 1)
        layer.overwrite(target, like, colour, alpha, mask)
        return
    opacity = torch.ones_like(light) if alpha is None else alpha
    if params.result == COLOR:
        colour = lab.image(lab.light_of(level.clamp(DARKEST, BRIGHTEST)), fill)
    else:
        colour = lab.image(lab.light_of(fill[:, 2:]), fill[:, :2])
        bare = (fill[:, :2].square().sum(1, keepdim=True).sqrt() / BARE + (WHITE - fill[:, 2:]) / WHITE).clamp(0, 1)
        opacity = torch.maximum(opacity, bare)
    write_colour(colour, target, like)
    write_alpha(opacity if mask is None else opacity * mask, target, like)


def _cells(fill: Tensor, seen: Box, pitch: int, size: tuple[int, int], like: Tensor) -> Tensor:
    """The cells of the plan that a box of the layer lies in."""
    rows, columns = (
        torch.arange(start, start + count * pitch, pitch) % whole // pitch
        for start, count, whole in zip((seen.top, seen.left), like.shape[-2:], size, strict=True)
    )
    return fill[:, :, rows][:, :, :, columns]
