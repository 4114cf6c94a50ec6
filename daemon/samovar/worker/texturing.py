"""The way of a layer through `texture`: what of it is the sample, what is grown, and what shows meanwhile.

What is transparent is no part of a sample: texture is painted on nothing as often as on a full layer. Only where there
is hardly a spot without transparency, as in lace, it is taken as part of the texture, and what is grown has it, too.

A fill keeps what is around it and is seen together with that, so that it meets it.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from samovar.models.texture import PATCHES
from samovar.networks import FeatureNetwork, WholeNetwork
from samovar.operations.texture import FILL, NOISE, SLICED, Params
from samovar.patches.grid import Wrap, eroded
from samovar.texture import grow
from samovar.texture.features import Features, NetworkFeatures, RandomFilters
from samovar.texture.grow import Plan, Sample
from samovar.texture.histogram import evened
from samovar.texture.weave import weave
from samovar.worker import heap, layer, region
from samovar.worker.alpha import constant, mixed
from samovar.worker.image import Alpha, Image, read, write, write_alpha, write_colour
from samovar.worker.inpainting import parted
from samovar.worker.region import Box, Mask
from samovar.worker.way import Pixels, Way, cut
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster
from samovar_link.request import MASK

MOST_PIXELS = 1 << 24
"""Of what is grown, or of what is filled with what is seen around it."""
CONTEXT = (64, 256)
"""Pixels seen around a fill, the least and the most: its longer side between."""
SPOT, LEAST_SPOTS = 12, 64
"""Pixels around one that have to be there for it to be in a spot without transparency; so many make a sample."""
HALF = 0.5
"""Of a mask, from where on a pixel is in the sample."""
SHOW_SECONDS = 1.0
WOVEN_SHARE = 0.1
"""Of the progress."""
NOISE_LEVELS, FILTER_LEVELS = 4, {False: 3, True: 5}
"""Sizes that noise is made a texture at; sizes at which filters see the picture, by whether it was noise."""
UNLIMITED = 100_000
STAGE = "growing"
NEARLY_ALL = 0.999


def run(
    way: Way, scope: Box, frames: Sequence[memoryview], allocate: Callable[[int], memoryview]
) -> tuple[dict[str, Raster], list[memoryview]]:
    """See `Operation.own_way`. Raises BadRequest for what is too large, or a sample that holds nothing."""
    assert isinstance(way.params, Params)
    mask = layer.mask_over(way.job, way.raster, scope, frames)
    if way.params.result == FILL:
        return _Fill(way, way.params, allocate, scope, mask).run(frames)
    return _Piece(way, way.params, allocate, scope, mask).run()


class _Growth:
    """What a piece of its own and a fill have in common: variants, time, and what shows.

    like : how the result travels
    """

    like: Raster

    def __init__(self, way: Way, params: Params, allocate: Callable[[int], memoryview]) -> None:
        self.way, self.params, self.job, self.allocate = way, params, way.job, allocate
        self.gray = way.whole.gray and way.raster.channels >= 3
        self._began = self._shown = 0.0
        self._steps = self._planned = 0
        self._ended = ""

    def variants(
        self, made: Callable[[torch.Generator], Tensor], put: Callable[[Tensor, Pixels], None]
    ) -> tuple[dict[str, Raster], list[memoryview]]:
        """Make each variant and put it into memory of its own: rasters by role, and the memory."""
        count, images, results = self.params.variants, {}, []
        role = self.way.operation.roles[0]
        for index in range(count):
            self._began = time.monotonic()
            seed = (self.job.run.seed + index * layer.SEED_STEP) % layer.SEEDS
            with self.job.part(index / count, (index + 1) / count):
                made_of_it = made(torch.Generator().manual_seed(seed))
                memory = self.allocate(self.like.size_bytes)
                put(made_of_it, layer.array(memory, self.like))
                self.job.progress(1.0)
            name = role if not index else f"{role} {index + 1}"
            images[name] = dataclasses.replace(self.like, frame=index)
            results.append(memory)
            heap.give_back_now_and_then()
        return images, results

    def show(self, picture: Tensor) -> None:
        """What there is so far, to a client that asked for it."""
        raise NotImplementedError

    # --- growing ----------------------------------------------------------------------------------------------------

    def grown(
        self, sample: Sample, start: Tensor, wrap: Wrap, generator: torch.Generator, fixed: Tensor | None = None
    ) -> Tensor:
        """What statistics make of a beginning. (1, C, H, W), both"""
        card = self.job.card(self.params.model)
        if card.network:
            return self._by_network(card.id, sample, start, wrap, generator, fixed)
        self.job.note(card.id)
        if card.architecture == PATCHES:
            return start
        self.job.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.job.runtime = "torch f32"
        levels = FILTER_LEVELS[self._from_noise and fixed is None]
        with torch.inference_mode(False):
            features = RandomFilters(levels=levels, device=self.job.device)
        return self._fitted(features, sample, start, wrap, generator, fixed)

    def _by_network(
        self, model: str, sample: Sample, start: Tensor, wrap: Wrap, generator: torch.Generator, fixed: Tensor | None
    ) -> Tensor:
        def attempt(network: WholeNetwork, side: int) -> Image:
            assert isinstance(network, FeatureNetwork)
            features = NetworkFeatures(network.answers, network.steps, network.around, side)
            return self._fitted(features, sample, start, wrap, generator, fixed)

        return self.job.whole(model, 0, attempt)

    def _fitted(
        self, features: Features, sample: Sample, start: Tensor, wrap: Wrap, generator: torch.Generator,
        fixed: Tensor | None,
    ) -> Tensor:  # fmt: skip
        iterations = self.params.iterations
        woven = not self._from_noise or fixed is not None
        levels = 1 if woven else NOISE_LEVELS
        self._steps, self._ended = 0, "as asked for" if iterations else "it was over by itself"
        self._planned = levels * iterations
        device = self.job.device
        with torch.inference_mode(False), torch.enable_grad():
            # tensors made in inference mode cannot be fitted to
            sample, start = _moved(sample, device), start.to(device, copy=True)
            fixed = None if fixed is None else fixed.to(device, copy=True)
            sliced = self.params.loss == SLICED
            plan = Plan(features, sliced, wrap, levels, iterations or UNLIMITED, woven, fixed)
            made = grow.grow(sample, start, plan, generator, self)
        self.job.notes.append(f"{self._ended} after {self._steps} steps, {self._spent:.0f} s")
        return made.cpu()

    @property
    def _from_noise(self) -> bool:
        return self.params.start == NOISE

    @property
    def _spent(self) -> float:
        return time.monotonic() - self._began

    # --- watching it grow, see `grow.Watch` -------------------------------------------------------------------------

    def check(self) -> None:
        self.job.check()

    def stepped(self, picture: Callable[[], Tensor]) -> None:
        self._steps += 1
        if time.monotonic() - self._shown > SHOW_SECONDS:
            if self.job.run.stream:
                self.show(picture())
            self._shown = time.monotonic()
        share = self._steps / self._planned if self._planned else self._spent / self.params.seconds
        self.job.progress(WOVEN_SHARE + (1 - WOVEN_SHARE) * min(0.99, share), f"step {self._steps}")

    def is_over(self, share: float) -> bool:
        if self.params.iterations or self._spent < self.params.seconds * share:
            return False
        if share > NEARLY_ALL:
            self._ended = "the time was up"
        return True

    def is_content(self) -> bool:
        if self.job.enough:
            self._ended = "kept as it was"
        return self.job.enough


def _moved(sample: Sample, device: str) -> Sample:
    return Sample(sample.picture.to(device, copy=True), sample.alpha, sample.usable.to(device, copy=True))


# --- a piece of its own ---------------------------------------------------------------------------------------------


class _Piece(_Growth):
    """All of the layer, or what is selected, is the sample."""

    def __init__(
        self, way: Way, params: Params, allocate: Callable[[int], memoryview], scope: Box, mask: Mask | None
    ) -> None:
        super().__init__(way, params, allocate)
        raster = way.raster
        width, height = params.width or scope.width, params.height or scope.height
        _check_size(width, height, "choose a smaller one, and enlarge it with upscale")
        _check_size(scope.width, scope.height, "select a part of it")
        self.like = dataclasses.replace(
            raster, width=width, height=height, x=raster.x + scope.left, y=raster.y + scope.top, frame=0
        )
        image, alpha = read(cut(way.source, scope), raster)
        image = image[:, :1] if self.gray else image
        usable = torch.ones(image.shape[-2:], dtype=torch.bool) if mask is None else mask[0, 0] >= HALF
        self._level, self._alpha = 1.0, False
        if alpha is not None:
            self._alpha, usable = _transparency(alpha, usable)
            self._level = float(alpha.max())
        if not bool(usable.any()):
            raise BadRequest.field(
                "texture sample", "nothing", "something", "select a part of it that is not transparent"
            )
        self._range = _range(image, usable)
        self._usable = usable
        self._planes = _planes(self._range.narrowed(image), alpha if self._alpha else None)

    def run(self) -> tuple[dict[str, Raster], list[memoryview]]:
        return self.variants(self._made, self._put)

    def _made(self, generator: torch.Generator) -> Tensor:
        size, wrap = (self.like.height, self.like.width), self.job.wrap
        sample = Sample(_picture(self._planes), self._alpha, self._usable[None, None].float())
        self.job.progress(0.0, STAGE)
        if self._from_noise and self.job.card(self.params.model).architecture != PATCHES:
            start = grow.noise(sample, size, generator)
        else:
            start = _picture(weave(self._planes, self._usable, size, wrap, generator, self.job.check))
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


class _Fill(_Growth):
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
        _check_size(seen.width, seen.height, "select less at once")
        image, alpha = read(cut(self.way.source, seen), raster)
        image = image[:, :1] if self.gray else image
        mask = layer.mask_over(self.job, raster, seen, frames)
        assert mask is not None
        self._inner = box.within(seen)
        self._wrap = wrap[0] and seen.height == raster.height, wrap[1] and seen.width == raster.width
        self._hole = mask[0, 0] > 0
        self._hole[self._inner] |= self._mask[0, 0, place.rows, place.columns] > 0
        self._usable = ~self._hole
        self._alpha = False
        if alpha is not None:
            self._alpha = constant(alpha) is None
            if self._alpha:
                self._alpha, self._usable = _transparency(alpha, self._usable)
                self._alpha = True
        if not bool(self._usable.any()):
            raise BadRequest.field(
                "texture mask", "all that is seen around it", "a part of it", "leave something unselected to fill from"
            )
        self._range = _range(image, self._usable)
        self._planes = _planes(self._range.narrowed(image), alpha if self._alpha else None)

    def _made(self, generator: torch.Generator) -> Tensor:
        if self._place is None:
            return torch.zeros(0)
        self.job.progress(0.0, STAGE)
        size = self._hole.shape[0], self._hole.shape[1]
        started = weave(self._planes, self._usable, size, self._wrap, generator, self.job.check, ~self._hole)
        start, sample = _picture(started), Sample(_picture(self._planes), self._alpha, self._usable[None, None].float())
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


# --- pixels ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Range:
    """What lies beyond 0..1 is brought within for the work, and back."""

    low: float
    high: float

    def narrowed(self, image: Image) -> Image:
        return image if (self.low, self.high) == (0, 1) else ((image - self.low) / (self.high - self.low)).clamp(0, 1)

    def widened(self, image: Image) -> Image:
        return image if (self.low, self.high) == (0, 1) else image * (self.high - self.low) + self.low


def _range(image: Image, usable: Tensor) -> _Range:
    values = image[0][:, usable]
    return _Range(min(0.0, float(values.min())), max(1.0, float(values.max())))


def _transparency(alpha: Alpha, usable: Tensor) -> tuple[bool, Tensor]:
    """Whether alpha is part of the texture, and what of it is the sample."""
    opaque = usable & (alpha[0, 0] >= float(alpha.max())) & (alpha[0, 0] > 0)
    if not bool((alpha > 0).any()):
        return False, opaque
    if bool((opaque == usable).all()):
        return False, usable
    spots = int(eroded(opaque, SPOT, outside=True).sum())
    return (False, opaque) if spots >= LEAST_SPOTS else (True, usable)


def _planes(image: Image, alpha: Alpha | None) -> Tensor:
    """(h, w, C), premultiplied and with alpha where that is part of the texture."""
    together = image if alpha is None else torch.cat([image * alpha, alpha], 1)
    return together[0].permute(1, 2, 0).contiguous()


def _picture(planes: Tensor) -> Tensor:
    return planes.permute(2, 0, 1).unsqueeze(0).contiguous()


def _check_size(width: int, height: int, instead: str) -> None:
    if width * height > MOST_PIXELS:
        raise BadRequest.field("texture size", f"{width}x{height}", f"at most {MOST_PIXELS} pixels", instead)
