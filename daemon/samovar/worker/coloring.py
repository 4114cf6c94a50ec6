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
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from samovar.chroma import lab, pyramid
from samovar.chroma.strokes import Reach, Strokes
from samovar.networks import ColourNetwork, WholeNetwork
from samovar.operations.colorize import COLOR, HINTS, MULTIPLY, PICTURE, Params
from samovar.worker import heap, layer, region
from samovar.worker.image import has_alpha, pixels, read, write_alpha, write_colour
from samovar.worker.known import Unusable
from samovar.worker.model_job import ModelJob
from samovar.worker.region import Box, Mask
from samovar.worker.tiling import Wrap, layout
from samovar.worker.way import Pixels, Way, cut
from samovar_link.messages import Raster

STAGE = "colouring"
PLAN_SIDE = 512
"""Pixels of the longer side, at most, at which strokes are followed and all of the layer is held."""
PIECE_SIDE = 512
BAND_PIXELS = 1 << 21
WHITE = 100.0
PAPER_LEAST, PAPER_SHARE, PAPER_WIDTH = 85.0, 0.2, 4.0
"""Lightness from where on something may be paper, how much of a page it is at least, and over how much of lightness
colour fades towards it."""
MOST_CHROMA = 250.0
NARROW, WIDE = 2.0, 9.0
"""Deviations of a layer's chroma across and along its main direction, from where on it has colours rather than a
tint."""
MOSTLY = 0.6
MARGIN = 0.25
"""Of a side that wraps, seen again beyond both of its ends."""
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
    if params.output == PICTURE:
        _spread(cut(way.source, scope), way.raster, target)
    else:
        target[...] = 0
    place = Box(0, 0, scope.height, scope.width) if mask is None else region.bounds(mask)
    if place is not None:
        plan = _plan(way, params, frames)
        if plan is not None:
            _paint(way, params, plan, scope, place, mask, target, like)
    job.progress(1.0)
    return {way.operation.roles[0]: like}, [memory]


def _result(raster: Raster, scope: Box, params: Params) -> Raster:
    channels = 4 if params.output != PICTURE or has_alpha(raster) else 3
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


# --- the plan: all of the layer, small ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    """Colour of all of the layer at a size of 1 / 2**depth.

    fill : (1, 2 or 3, h, w), chroma; and, for line art, the lightness that its areas get
    lightness : (1, 1, h, w); share : (1, 1, h, w), how much of that is what strokes say
    """

    fill: Tensor
    lightness: Tensor
    depth: int


def _plan(way: Way, params: Params, frames: Sequence[memoryview]) -> _Plan | None:
    """None for a layer that has colours already."""
    job, wrap = way.job, way.job.wrap
    longer = max(way.raster.height, way.raster.width)
    depth = max(0, math.ceil(math.log2(longer / PLAN_SIDE)))
    lightness, own = _shrunk(way, depth)
    if own is not None and not params.recolour and has_colours(own):
        job.notes.append("it has colours already and was left as it is; ask for Recolour to change them")
        return None
    strokes = _strokes(way, frames, depth)
    if params.output != MULTIPLY and float((lightness > 97).float().mean()) > MOSTLY:
        job.notes.append("most of it is white, which stays white: for line art, choose the result for mode Multiply")
    chroma = _seen(job, params.model, lightness, strokes, wrap) * params.saturation
    reach = None if strokes is None or not strokes.marks.any() else strokes.reach(lightness, wrap)
    if params.keep_white and params.output != MULTIPLY:
        chroma = chroma * _inked(lightness)
    fill = chroma if reach is None else torch.lerp(chroma, reach.chroma, reach.share)
    if params.output == MULTIPLY:
        fill = torch.cat((fill, _areas(chroma, reach)), 1)
    return _Plan(fill, lightness, depth)


def _areas(chroma: Tensor, reach: Reach | None) -> Tensor:
    """The lightness of the areas of line art: as light as their colour can be, or as their stroke was."""
    light = lab.lightest(chroma)
    return light if reach is None else torch.lerp(light, reach.lightness, reach.share)


def _shrunk(way: Way, depth: int) -> tuple[Tensor, Tensor | None]:
    """Lightness (1, 1, h, w) of all of the layer, over white, and its chroma (1, 2, h, w), None of a gray one."""
    coloured = way.raster.channels >= 3 and not way.whole.gray
    lightness, chroma = [], []
    for top, stop in _bands(way.raster, depth):
        way.job.check()
        image, alpha = read(way.source[top:stop], way.raster)
        image = image.clamp(0, 1)
        if coloured:
            level, own = lab.of(image)
            chroma.append(_halvings(own if alpha is None else own * alpha, depth))
        else:
            level = lab.lightness(lab.light(image[:, :1]))
        lightness.append(_halvings(_over_white(level, alpha), depth))
    return torch.cat(lightness, 2), torch.cat(chroma, 2) if coloured else None


def _bands(raster: Raster, depth: int) -> list[tuple[int, int]]:
    pitch = 1 << depth
    rows = max(1, BAND_PIXELS // raster.width // pitch) * pitch
    return [(top, min(top + rows, raster.height)) for top in range(0, raster.height, rows)]


def _over_white(level: Tensor, alpha: Tensor | None) -> Tensor:
    return level if alpha is None else WHITE + alpha * (level - WHITE)


def _halvings(plane: Tensor, count: int) -> Tensor:
    return pyramid.levels(plane, count)[-1]


def has_colours(chroma: Tensor) -> bool:
    """Whether a picture has colours, rather than one tint as of old paper or sepia. (1, 2, h, w)"""
    values = chroma[0].flatten(1)
    values = values - values.mean(1, keepdim=True)
    spread = (values @ values.T / values.shape[1]).double()
    across, along = torch.linalg.eigvalsh(spread).clamp(min=0).sqrt()
    return bool(across > NARROW or along > WIDE)


def _inked(lightness: Tensor) -> Tensor:
    """How much each cell is anything but blank paper, 0..1."""
    counts = torch.histc(lightness, 50, 0, WHITE) / lightness.numel()  # by two
    bright = torch.where(torch.arange(50) * 2 >= PAPER_LEAST, counts, 0)
    paper = 2 * int(bright.argmax()) if float(bright.max()) > PAPER_SHARE else WHITE - 2
    return ((paper - 1 - lightness) / PAPER_WIDTH).clamp(0, 1)


# --- strokes --------------------------------------------------------------------------------------------------------


def _strokes(way: Way, frames: Sequence[memoryview], depth: int) -> Strokes | None:
    """What was drawn over the layer, at the size of the plan. None if there is nothing."""
    raster = way.job.run.images.get(HINTS)
    if raster is None:
        return None
    source, bands = pixels(raster, frames[raster.frame]), []
    for top, stop in _bands(way.raster, depth):
        way.job.check()
        bands.append(_band(source, raster, way.raster, Box(top, 0, stop - top, way.raster.width), depth))
    lightness, chroma, covered = (
        torch.cat([getattr(band, name) for band in bands], 2) for name in ("lightness", "chroma", "covered")
    )
    return Strokes(lightness, chroma, covered) if float(covered.max()) > 0 else None


def _band(source: Pixels, raster: Raster, like: Raster, box: Box, depth: int) -> Strokes:
    (rows, columns), (its_rows, its_columns) = region.common(raster, like, box)
    planes = torch.zeros(1, 4, box.height, box.width)
    part = source[its_rows, its_columns]
    if part.size:
        image, alpha = read(np.ascontiguousarray(part), raster)
        assert alpha is not None
        planes[:, :, rows, columns] = torch.cat((*lab.of(image.clamp(0, 1)), alpha), 1)
    drawn = Strokes(planes[:, :1], planes[:, 1:3], planes[:, 3:])
    for _ in range(depth):
        drawn = drawn.halved()
    return drawn


# --- the network ----------------------------------------------------------------------------------------------------


def _seen(job: ModelJob, model: str, lightness: Tensor, strokes: Strokes | None, wrap: Wrap) -> Tensor:
    """What a network says of all of the layer, (1, 2, h, w) at the size of the plan."""
    height, width = lightness.shape[-2:]
    count = max(0, math.ceil(math.log2(max(height, width))))
    sizes = pyramid.levels(lightness, count)

    def attempt(network: WholeNetwork, side: int) -> Tensor:
        assert isinstance(network, ColourNetwork)
        job.progress(0.1, STAGE)
        level = next(i for i, each in enumerate(sizes) if max(each.shape[-2:]) <= side * math.sqrt(2) or i == count)
        drawn = strokes if network.hints else None
        for _ in range(level):
            drawn = None if drawn is None else drawn.halved()
        return _asked(network, sizes[level], drawn, wrap)

    chroma = job.whole(model, 0, attempt)
    level = next(i for i, each in enumerate(sizes) if each.shape[-2:] == chroma.shape[-2:])
    while level:
        chroma = pyramid.doubled(chroma, sizes[level], sizes[level - 1], wrap)
        level -= 1
    return chroma


def _asked(network: ColourNetwork, lightness: Tensor, strokes: Strokes | None, wrap: Wrap) -> Tensor:
    """(1, 1, h, w) -> (1, 2, h, w). Raises Unusable."""
    height, width = lightness.shape[-2:]
    planes = [lightness]
    if strokes is not None:
        marks = strokes.marks.float()
        planes += [strokes.chroma * marks, marks]
    around = [round(size * MARGIN) if wraps else 0 for size, wraps in zip((height, width), wrap, strict=True)]
    seen = [_widened(plane, around, network.multiple, wrap) for plane in planes]
    made: Tensor = network(*seen)
    if not torch.isfinite(made).all() or float(made.abs().max()) > MOST_CHROMA:
        raise Unusable("its colours are none")
    while made.shape[-1] < seen[0].shape[-1]:  # a network may answer smaller than it was asked
        factor = seen[0].shape[-1] // made.shape[-1]
        cells, above = (_halvings(seen[0], int(math.log2(factor)) - less) for less in (0, 1))
        made = pyramid.doubled(made, cells, above)
    top, left = around
    return made[:, :, top : top + height, left : left + width].contiguous()


def _widened(plane: Tensor, around: Sequence[int], multiple: int, wrap: Wrap) -> Tensor:
    """Going on at its other side where it wraps; then to sides that the network takes."""
    top, left = around
    height, width = plane.shape[-2:]
    rows = torch.arange(-top, height + top) % height
    columns = torch.arange(-left, width + left) % width
    wide = plane[:, :, rows][:, :, :, columns]
    missing = [-size % multiple for size in wide.shape[-2:]]
    return functional.pad(wide, (0, missing[1], 0, missing[0]), mode="replicate")


# --- at full size ---------------------------------------------------------------------------------------------------


def _paint(
    way: Way, params: Params, plan: _Plan, scope: Box, place: Box, mask: Mask | None, target: Pixels, like: Raster
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
    way: Way, params: Params, plan: _Plan, box: Box, mask: Mask | None, target: Pixels, like: Raster
) -> None:  # fmt: skip
    pitch, raster, wrap = 1 << plan.depth, way.raster, way.job.wrap
    seen = box.grown(pyramid.HALO * pitch, pitch, raster.height, raster.width, wrap)
    image, alpha = read(cut(way.source, seen), raster)
    within = image.clamp(0, 1)
    light = lab.light(within)
    sizes = pyramid.levels(_over_white(lab.lightness(light), alpha), plan.depth)
    fill = _cells(plan.fill, seen, pitch, (raster.height, raster.width), sizes[-1])
    wrap = wrap[0] and seen.height == raster.height, wrap[1] and seen.width == raster.width
    for level in range(plan.depth, 0, -1):
        fill = pyramid.doubled(fill, sizes[level], sizes[level - 1], wrap)
    rows, columns = box.within(seen)
    image, within, light, fill = (each[:, :, rows, columns] for each in (image, within, light, fill))
    alpha = None if alpha is None else alpha[:, :, rows, columns]
    if params.output == PICTURE:
        layer.overwrite(target, like, lab.image(light, fill).add_(image - within), alpha, mask)
        return
    opacity = torch.ones_like(light) if alpha is None else alpha
    if params.output == COLOR:
        colour = lab.image(lab.light_of(lab.lightness(light).clamp(DARKEST, BRIGHTEST)), fill)
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
