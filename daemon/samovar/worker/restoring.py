"""The way of a layer through `restore`: what is seen of it, the fits, what shows meanwhile, and what comes of them.

The fits of a picture (see `mosaic`) take turns (see `turns`), after each of which what it has come to is shown.

What keeps the size is written over a copy of the layer, as in `layer`. Values beyond 0..1 and the alpha go past the
fit; where alpha varies, only what is visible counts, and a hole is filled with alpha as one more channel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from samovar.operations.restore import CLASSIC, FAST, INPAINT, UPSCALE, Params
from samovar.patches.grid import dilated
from samovar.patches.membrane import membrane
from samovar.prior.observation import Observation
from samovar.prior.recipes import Recipe
from samovar.runtimes.eager import has_bfloat16_units
from samovar.worker import damage, heap, ladder, layer, region
from samovar.worker.alpha import constant, grow_colour, mixed
from samovar.worker.checkpoints import Checkpoints
from samovar.worker.image import Alpha, Image, read, write, write_alpha, write_colour
from samovar.worker.inpainting import parted, planes
from samovar.worker.known import check
from samovar.worker.ladder import Rung
from samovar.worker.model_job import ModelJob
from samovar.worker.mosaic import Mosaic
from samovar.worker.region import Box, Mask
from samovar.worker.resample import resize
from samovar.worker.tiling import Wrap
from samovar.worker.turns import Turns
from samovar.worker.way import Pixels, Way, cut
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster
from samovar_link.request import MASK

MOST_PIXELS = {FAST: 1 << 22, CLASSIC: 1 << 20}
"""Of the picture that is looked for, with what is seen around it, by method: it takes hours by then."""
SIDE = {FAST: 320, CLASSIC: 256}
"""Of a tile, in pixels of the picture that is looked for. Memory grows with its square."""
CONTEXT, HOLE_CONTEXT = 32, (48, 160)
"""Pixels seen around what is restored, and the least and the most around a hole: half of its longer side between."""


def run(
    way: Way, scope: Box, frames: Sequence[memoryview], allocate: Callable[[int], memoryview]
) -> tuple[dict[str, Raster], list[memoryview]]:
    """See `Operation.own_way`. Raises BadRequest for what is too large, or a hole with nothing around it."""
    params, job, raster = way.params, way.job, way.raster
    assert isinstance(params, Params)
    like = dataclasses.replace(
        raster, height=scope.height, width=scope.width, x=raster.x + scope.left, y=raster.y + scope.top, frame=0
    )
    if params.mode == UPSCALE:
        like = layer.moved(raster, scope, way.operation, params)
    memory = allocate(like.size_bytes)
    target = layer.array(memory, like)
    mask = layer.mask_over(job, raster, scope, frames)
    if params.mode != UPSCALE:
        np.copyto(target, cut(way.source, scope))
    place = Box(0, 0, scope.height, scope.width) if mask is None else region.bounds(mask)
    job.method = f"deep-image-prior/{params.method}"
    if place is not None:
        with torch.inference_mode(False), torch.enable_grad():
            # tensors made in inference mode cannot be fitted to
            task = _Task.of(way, params, scope, place, None if mask is None else mask.clone(), target, like, allocate)
            if task.fills:
                task.leave_out(layer.mask_over(job, raster, task.seen, frames))
            task.fit(frames)
    job.progress(1.0)
    images, results = {way.operation.roles[0]: like}, [memory]
    if params.mode == INPAINT:
        assert mask is not None
        covered = dataclasses.replace(like, channels=1, dtype="u8", order="rgba", frame=1)
        results.append(allocate(covered.size_bytes))
        layer.array(results[1], covered)[..., 0] = mask[0, 0].mul(255).ceil_().numpy()
        images[MASK] = covered
    return images, results


@dataclasses.dataclass(frozen=True)
class _Task:
    """seen : of the layer, in its pixels; image, alpha : what is seen there, visible colour grown over what is hidden
    known : (h, w) bool, what of it counts; gray : all of the layer's three channels are equal
    wrap : whether what is seen goes on at its other side
    inner : what is to change, in pixels of the picture looked for, from where it is seen
    place : the same in the result
    mask : of the result, how much of the new is taken; None: all
    factor : pixels of the picture looked for per pixel of the layer
    """

    params: Params
    job: ModelJob
    seen: Box
    image: Image
    alpha: Alpha | None
    known: Tensor
    gray: bool
    wrap: Wrap
    inner: Box
    place: Box
    mask: Mask | None
    target: Pixels
    like: Raster
    allocate: Callable[[int], memoryview]
    factor: int

    @classmethod
    def of(
        cls, way: Way, params: Params, scope: Box, place: Box, mask: Mask | None, target: Pixels, like: Raster,
        allocate: Callable[[int], memoryview],
    ) -> _Task:  # fmt: skip
        raster, fills = way.raster, params.mode == INPAINT
        factor = params.scale if params.mode == UPSCALE else 1
        box = dataclasses.replace(place, top=place.top + scope.top, left=place.left + scope.left)
        context = min(max(max(box.height, box.width) // 2, HOLE_CONTEXT[0]), HOLE_CONTEXT[1]) if fills else CONTEXT
        seen = box.grown(context, 1, raster.height, raster.width, way.job.wrap)
        _check_size(seen, factor, params.method)
        image, alpha = read(cut(way.source, seen), raster)
        known = torch.ones(image.shape[-2:], dtype=torch.bool)
        if fills:
            assert mask is not None
            known[box.within(seen)] = mask[0, 0, place.rows, place.columns] == 0
        wrap = way.job.wrap[0] and seen.height == raster.height, way.job.wrap[1] and seen.width == raster.width
        inner = Box(
            (box.top - seen.top) * factor, (box.left - seen.left) * factor, box.height * factor, box.width * factor
        )
        at = Box(place.top * factor, place.left * factor, inner.height, inner.width)
        if alpha is not None and not fills and constant(alpha) is None:
            image = grow_colour(image, alpha, CONTEXT, wrap)
        gray = way.whole.gray and image.shape[1] == 3
        return cls(
            params, way.job, seen, image, alpha, known, gray, wrap, inner, at, mask, target, like, allocate, factor
        )

    def leave_out(self, mask: Mask | None) -> None:
        """What is to be filled around the place at hand is no more known than that. Raises BadRequest if nothing is."""
        if mask is not None:
            self.known[mask[0, 0] > 0] = False
        if not self.known.any():
            raise BadRequest.field(
                "restore mask", "all of the layer", "a part of it", "leave something unselected to fill from"
            )

    @property
    def fills(self) -> bool:
        return self.params.mode == INPAINT

    @property
    def level(self) -> float | None:
        """The alpha that all of it has; None if it varies."""
        return 1.0 if self.alpha is None else constant(self.alpha)

    # --- the fit ----------------------------------------------------------------------------------------------------

    def fit(self, frames: Sequence[memoryview]) -> None:
        """Restore, and write what comes of it into the target."""
        if self.level == 0:
            self._finish(None)
            return
        job = self.job
        observation = self._observation()
        recipe = damage.recipe(self.params, self.known)
        with Checkpoints(job.checkpoints, job.run, frames) as aside:

            def attempt(rung: Rung) -> Image:
                mosaic = self._mosaic(observation, recipe, rung.side)
                Turns(self.params, job, mosaic, aside, lambda index: self.show(mosaic, index)).take()
                picture = self._drawn(mosaic, Box(0, 0, *mosaic.size), last=True)
                check(picture, float(observation.values.max()))
                return picture

            side = SIDE[self.params.method]
            self._finish(ladder.climb(attempt, Rung(side, 0), True, job.run.job, job.retries.append))

    def _observation(self) -> Observation:
        within = self.image.clamp(0, 1)
        if self.gray:
            within = within[:, :1]
        weights = self.known[None, None].float()
        if self.level is None:
            assert self.alpha is not None
            if self.fills:
                within = torch.cat([within * self.alpha, self.alpha], 1)
            else:
                weights = weights * (self.alpha > 0)
        return Observation(within.contiguous(), weights, self.factor)

    def _mosaic(self, observation: Observation, recipe: Recipe, side: int) -> Mosaic:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.job.device = device
        units = torch.cuda.is_bf16_supported() if device == "cuda" else has_bfloat16_units()
        low = units and self.like.dtype == "u8" and recipe.frozen  # where it is known to cost less than 0.2 dB
        self.job.runtime = f"torch {'bf16' if low else 'f32'}"
        height, width = (each * self.factor for each in observation.values.shape[-2:])
        plain = resize(observation.values, height, width, self.wrap).clamp(0, 1)
        return Mosaic(
            observation, plain, recipe, self.job.seed, side, self.wrap, self.params.smoothness, device,
            low, self.job.check,
        )  # fmt: skip

    def _drawn(self, mosaic: Mosaic, box: Box, last: bool) -> Image:
        """A part of what the fits have come to. last : it is the result, or may take as long"""
        picture = mosaic.picture(box)
        if self.fills and (last or len(mosaic) == 1):
            rows, columns = box.rows, box.columns
            known = self.known[rows, columns]
            rim = dilated(~known, 1, (False, False)) & known
            lacking = torch.where(rim, mosaic.observed[0, :, rows, columns] - picture[0], 0.0)
            surface = membrane(lacking.permute(1, 2, 0), rim)
            picture = picture + surface.permute(2, 0, 1).unsqueeze(0)
        return picture.clamp(0, 1)

    # --- what comes of it -------------------------------------------------------------------------------------------

    def show(self, mosaic: Mosaic, index: int) -> None:
        """What a fit has come to, to a client that asked for it."""
        if not self.job.run.stream:
            return
        whole = Box(0, 0, *mosaic.size)
        for box in mosaic.boxes(index):
            part = _common(box, self.inner)
            if part is None:
                continue
            if self.fills and len(mosaic) == 1:
                picture = self._drawn(mosaic, whole, last=False)[:, :, part.rows, part.columns]
            else:
                picture = self._drawn(mosaic, part, last=False)
            at = self._in_result(part)
            x, y = self.like.x + at.left, self.like.y + at.top
            raster = dataclasses.replace(self.like, height=at.height, width=at.width, x=x, y=y)
            memory = self.allocate(raster.size_bytes)
            pixels = layer.array(memory, raster)
            np.copyto(pixels, self.target[at.rows, at.columns])
            self._put(picture, part, pixels, raster)
            self.job.show(raster, memory, self.like)

    def _finish(self, picture: Image | None) -> None:
        """picture : of all that is seen; None leaves colours as they are"""
        if picture is None:
            height, width = (each * self.factor for each in self.image.shape[-2:])
            picture = resize(self.image.clamp(0, 1), height, width, self.wrap)
            if self.fills:
                return
        at = self._in_result(self.inner)
        part = picture[:, :, self.inner.rows, self.inner.columns]
        self._put(part, self.inner, self.target[at.rows, at.columns], self.like)
        heap.give_back_now_and_then()

    def _in_result(self, part: Box) -> Box:
        """From where it is seen to where it is in the result."""
        top, left = part.top - self.inner.top + self.place.top, part.left - self.inner.left + self.place.left
        return dataclasses.replace(part, top=top, left=left)

    def _put(self, picture: Image, part: Box, pixels: Pixels, raster: Raster) -> None:
        """A part of the picture over the layer's own pixels, as far as it is to be taken."""
        alpha, colour, opacity = self._grown(self.alpha), picture, None
        if self.fills and self.level is None:
            assert self.alpha is not None
            colour, opacity = parted(planes(picture, None))
        if self.gray:
            colour = colour[:, :1].expand(-1, 3, -1, -1)
        beyond = self._beyond
        if beyond is not None and not self.fills:
            colour = colour + beyond[:, :, part.rows, part.columns]
        before = None if alpha is None else alpha[:, :, part.rows, part.columns]
        at = self._in_result(part)
        mask = None if self.mask is None else self.mask[:, :, at.rows, at.columns]
        if self.params.mode == UPSCALE:
            write(colour, before, pixels, raster)
        elif opacity is None:
            layer.overwrite(pixels, raster, colour, before, mask)
        else:
            assert mask is not None and before is not None
            old, _ = read(pixels, raster)
            takes = mask[0, 0] > 0
            together, covering = mixed(old, before, colour, opacity, mask)
            write_colour(together, pixels, raster, takes)
            fresh = np.ascontiguousarray(pixels)
            write_alpha(covering, fresh, raster)
            pixels[..., -1][takes.numpy()] = fresh[..., -1][takes.numpy()]

    @property
    def _beyond(self) -> Image | None:
        beyond = self.image - self.image.clamp(0, 1)
        return self._grown(beyond) if bool(beyond.any()) else None

    def _grown(self, image: Image | None) -> Image | None:
        """In the size of the picture looked for."""
        if image is None or self.factor == 1:
            return image
        height, width = (each * self.factor for each in image.shape[-2:])
        grown = resize(image, height, width, self.wrap)
        return grown.clamp_(0, 1) if image is self.alpha else grown


def _check_size(seen: Box, factor: int, method: str) -> None:
    pixels, most = seen.height * seen.width * factor * factor, MOST_PIXELS[method]
    if pixels > most:
        instead = "select a part, enlarge by less, or use upscale, denoise or inpaint"
        if method == CLASSIC and pixels <= MOST_PIXELS[FAST]:
            instead = "choose the fast method, or select a part"
        found = f"{seen.width * factor}x{seen.height * factor}"
        raise BadRequest.field("restore size", found, f"at most {most} pixels with the {method} method", instead)


def _common(a: Box, b: Box) -> Box | None:
    top, left = max(a.top, b.top), max(a.left, b.left)
    bottom, right = min(a.top + a.height, b.top + b.height), min(a.left + a.width, b.left + b.width)
    return Box(top, left, bottom - top, right - left) if bottom > top and right > left else None
