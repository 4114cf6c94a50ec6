"""The way of numbers through `faces`: where faces are, what they look like, and how they come onto the result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from samovar.chroma import lab
from samovar.networks import GeneratorNetwork, WholeNetwork
from samovar.operations.faces import ANY, EACH, ENLARGED_BY, MIX, VARY, Params
from samovar.worker import layer
from samovar.worker.image import Image, has_alpha, write
from samovar.worker.model_job import ModelJob
from samovar.worker.way import Pixels, Way
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster
from samovar_link.request import grid

DRAWN_SHARE = 0.4
"""Of the progress, where faces are enlarged, too."""
FRESH, MOST = 1 << 40, 64
"""Numbers of what a face is varied with begin there; and most faces on a sheet."""
STAGE = "drawing"


def run(way: Way, allocate: Callable[[int], memoryview]) -> tuple[dict[str, Raster], list[memoryview]]:
    """See `Operation.own_way`. Raises BadRequest for a style that the model does not know."""
    params, job = way.params, way.job
    assert isinstance(params, Params)
    size = int(params.size)
    with job.part(0.0, DRAWN_SHARE):
        made = job.whole(params.model, 0, lambda network, _: _drawn(network, job, params))
    if size < made.shape[-1]:
        made = functional.interpolate(made, (size, size), mode="bilinear", antialias=True, align_corners=False)
    sheet = _Sheet(way, size, allocate, grid(len(made)), params.result == EACH)
    for index, face in enumerate(torch.split(made, 1)):
        with job.part(DRAWN_SHARE, 1.0), job.part(index / len(made), (index + 1) / len(made)):
            sheet.put(index, _enlarged(face, size, job))
    job.progress(1.0)
    return sheet.images, sheet.results


class _Sheet:
    """What comes of it: one picture of cells, filled row by row, or a picture for each, placed likewise.

    images : rasters by role; results : their pixels
    """

    def __init__(
        self, way: Way, size: int, allocate: Callable[[int], memoryview], cells: tuple[int, int], apart: bool
    ) -> None:
        self.images: dict[str, Raster] = {}
        self.results: list[memoryview] = []
        self._role, self._columns, self._apart, self._allocate = way.operation.roles[0], cells[0], apart, allocate
        self._cell = dataclasses.replace(way.raster, width=size, height=size, frame=0)
        if not apart:
            whole = dataclasses.replace(self._cell, width=cells[0] * size, height=cells[1] * size)
            self._target = self._new(whole)
            _clear(self._target, whole)

    def put(self, index: int, face: Image) -> None:
        """face : (1, 3, size, size)"""
        size, cell = self._cell.width, self._cell
        row, column = divmod(index, self._columns)
        if self._apart:
            cell = dataclasses.replace(cell, x=cell.x + column * size, y=cell.y + row * size)
            place = self._new(cell)
        else:
            place = self._target[row * size : (row + 1) * size, column * size : (column + 1) * size]
        write(face if cell.channels >= 3 else _gray(face), None, place, cell)

    def _new(self, raster: Raster) -> Pixels:
        count = len(self.results)
        like = dataclasses.replace(raster, frame=count)
        self.images[self._role if not count else f"{self._role} {count + 1}"] = like
        self.results.append(self._allocate(like.size_bytes))
        return layer.array(self.results[-1], like)


def _drawn(network: WholeNetwork, job: ModelJob, params: Params) -> Image:
    """All faces, (N, 3, side, side)"""
    assert isinstance(network, GeneratorNetwork)
    places = _places(network, job.seed, params)
    made = []
    for index, place in enumerate(torch.split(places, 1)):  # several at once would differ in the last digit
        job.progress(index / len(places), STAGE)
        made.append(network.pictures(place).float().cpu())
    return torch.cat(made)


def _places(network: GeneratorNetwork, seed: int, params: Params) -> Tensor:
    """(N, W)"""
    wanted = [params.only - 1] if params.only else range(params.count)
    if params.way == MIX:
        one, other = (_place(network, _numbers(network, each), each, params) for each in (seed, params.other))
        last = params.count - 1
        return torch.cat([torch.lerp(one, other, index / last if last else 0.5) for index in wanted])
    places = []
    for index in wanted:
        number = seed if params.way == VARY else seed + index
        z = _numbers(network, number)
        if params.way == VARY and index:
            fresh = FRESH + params.other * MOST + index
            z = network.between(z, _numbers(network, fresh), params.amount)
        places.append(_place(network, z, number, params))
    return torch.cat(places)


def _numbers(network: GeneratorNetwork, number: int) -> Tensor:
    return network.drawn(torch.Generator().manual_seed(number % layer.SEEDS))


def _place(network: GeneratorNetwork, z: Tensor, number: int, params: Params) -> Tensor:
    """Of the face with that number: its style is the one asked for, or the one whose turn it is."""
    styles = network.styles
    if params.style not in (ANY, *styles):
        allowed = ", ".join((ANY, *(each for each in styles if each)))
        raise BadRequest.field("faces.style", params.style, f"{allowed}: the styles of {params.model}")
    style = number % len(styles) if params.style == ANY else styles.index(params.style)
    return network.placed(z.to(next(network.parameters()).device), style, params.truncation)


def _clear(target: Pixels, like: Raster) -> None:
    """Transparent, or white."""
    if has_alpha(like):
        target.fill(0)
    else:
        write(torch.ones(1, like.channels, like.height, like.width), None, target, like)


def _gray(face: Image) -> Image:
    return lab.encoded(lab.light(face))


def _enlarged(face: Image, size: int, job: ModelJob) -> Image:
    """By 2 as often as needed, as drawings are."""
    while face.shape[-1] < size:
        face = job.apply(*ENLARGED_BY, face, "enlarging")
    if face.shape[-1] > size:
        face = functional.interpolate(face, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return face
