"""The plan of a layer's colours: all of it, small, as a network and the user's strokes say.

The layer is shrunk band by band, so that its size does not matter: lightness over white, chroma where it has any, and
what was drawn over it. The network sees that at the size it was trained for; its answer is brought up to the plan along
the lightness, and where strokes reach, they count instead.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from samovar.chroma import lab, pyramid
from samovar.chroma.strokes import Reach, Strokes
from samovar.networks import ColourNetwork, WholeNetwork
from samovar.operations.colorize import HINTS, MULTIPLY, Params
from samovar.worker import region
from samovar.worker.image import LEVELS, Image, pixels, read
from samovar.worker.known import Unusable
from samovar.worker.model_job import ModelJob
from samovar.worker.region import Box
from samovar.worker.tiling import Wrap
from samovar.worker.way import Pixels, Way
from samovar_link.messages import Raster

STAGE = "colouring"
PLAN_SIDE = 512
"""Pixels of the longer side, at most, at which strokes are followed and all of the layer is held."""
BAND_PIXELS = 1 << 21
WHITE = 100.0
PAPER_LEAST, PAPER_SHARE, PAPER_WIDTH = 85.0, 0.2, 4.0
"""Lightness from where on something may be paper, how much of a page it is at least, and over how much of lightness
colour fades towards it."""
MOST_CHROMA = 250.0
NARROW, WIDE = 2.0, 9.0
"""Deviations of a layer's chroma across and along its main direction, from where on it has colours rather than a
tint."""
NEARLY_WHITE, MOSTLY = 97.0, 0.6
"""Lightness of blank paper, and how much of a layer it is where that is told of the way to colour line art."""
MARGIN = 0.25
"""Of a side that wraps, seen again beyond both of its ends."""


@dataclass(frozen=True)
class Plan:
    """Colour of all of the layer at a size of 1 / 2**depth.

    fill : (1, 2 or 3, h, w), chroma; and, for line art, the lightness that its areas get
    lightness : (1, 1, h, w), that of the layer over white
    """

    fill: Tensor
    lightness: Tensor
    depth: int


def plan(way: Way, params: Params, frames: Sequence[memoryview]) -> Plan | None:
    """None for a layer that has colours already."""
    job, wrap = way.job, way.job.wrap
    longer = max(way.raster.height, way.raster.width)
    depth = max(0, math.ceil(math.log2(longer / PLAN_SIDE)))
    lightness, own = _shrunk(way, depth)
    if own is not None and not params.recolour and has_colours(own):
        job.notes.append("it has colours already and was left as it is; ask for Recolour to change them")
        return None
    strokes = _strokes(way, frames, depth)
    if params.result != MULTIPLY and float((lightness > NEARLY_WHITE).float().mean()) > MOSTLY:
        job.notes.append("most of it is white, which stays white: for line art, choose the result for mode Multiply")
    reach = None if strokes is None else strokes.reach(lightness, wrap)
    chroma = _seen(job, params.model, lightness, strokes, reach, wrap) * params.saturation
    if params.keep_white and params.result != MULTIPLY:
        chroma = chroma * _inked(lightness)
    fill = chroma if reach is None else torch.lerp(chroma, reach.chroma, reach.share)
    if params.result == MULTIPLY:
        fill = torch.cat((fill, _areas(chroma, reach)), 1)
    return Plan(fill, lightness, depth)


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
        if coloured:
            level, own = lab.of(image.clamp(0, 1))
            chroma.append(_halvings(own if alpha is None else own * alpha, depth))
        else:
            _, level = tones(way, way.source[top:stop], image)
        lightness.append(_halvings(over_white(level, alpha), depth))
    return torch.cat(lightness, 2), torch.cat(chroma, 2) if coloured else None


def tones(way: Way, source: Pixels, image: Image) -> tuple[Tensor, Tensor]:
    """Relative luminance and lightness, (1, 1, h, w) both, of pixels of the layer; from a table where that has few.

    image : the same pixels
    """
    if way.whole.gray or way.raster.channels < 3:
        if way.raster.dtype in LEVELS:
            index = np.ascontiguousarray(source[..., 0])
            light, level = (torch.from_numpy(table[index])[None, None] for table in _tables(way.raster.dtype))
            return light, level
        image = image[:, :1]
    light = lab.light(image.clamp(0, 1))
    return light, lab.lightness(light)


@functools.cache
def _tables(dtype: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    light = lab.linear(torch.arange(LEVELS[dtype] + 1) / LEVELS[dtype])
    return light.numpy(), lab.lightness(light).numpy()


def _bands(raster: Raster, depth: int) -> list[tuple[int, int]]:
    pitch = 1 << depth
    rows = max(1, BAND_PIXELS // raster.width // pitch) * pitch
    return [(top, min(top + rows, raster.height)) for top in range(0, raster.height, rows)]


def over_white(level: Tensor, alpha: Tensor | None) -> Tensor:
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


def _seen(
    job: ModelJob, model: str, lightness: Tensor, strokes: Strokes | None, reach: Reach | None, wrap: Wrap
) -> Tensor:
    """What a network says of all of the layer, (1, 2, h, w) at the size of the plan.

    Asked twice, if there are strokes that it can follow: near them it counts what it makes of them, far from them what
    it says without. Its view is too coarse to stop at an outline.
    """
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
        alone = _asked(network, sizes[level], None, wrap)
        return alone if drawn is None else torch.cat((alone, _asked(network, sizes[level], drawn, wrap)), 1)

    chroma = job.whole(model, 0, attempt)
    level = next(i for i, each in enumerate(sizes) if each.shape[-2:] == chroma.shape[-2:])
    while level:
        chroma = pyramid.doubled(chroma, sizes[level], sizes[level - 1], wrap)
        level -= 1
    if chroma.shape[1] == 2:
        return chroma
    assert reach is not None
    return torch.lerp(chroma[:, :2], chroma[:, 2:], reach.heard)


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
