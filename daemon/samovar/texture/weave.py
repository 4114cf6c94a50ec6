"""Weaving: a texture that is first sewn together small, and then made finer by patches of the sample.

At an eighth of the size or so pieces of the sample are sewn together (see `quilt`), which decides what goes where. From
there on, level by level, two steps take turns: find for each patch of the texture the patch of the sample that is most
like it, beginning with where it came from, and let all patches over a pixel vote for its colour. So what does not meet
at a seam is drawn towards what does somewhere in the sample, while it is still small.

Source: Kwatra, Essa, Bobick, Kwatra, "Texture Optimization for Example-based Synthesis", SIGGRAPH 2005, sections 3 and
4 (the two steps, levels); Barnes et al., "PatchMatch", SIGGRAPH 2009, section 3 (propagation, random search), for all
patches at once. Other than there: begun with a quilt; votes weighed by how like their sources patches are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from samovar.patches.field import Sources, described
from samovar.patches.grid import Mask, Planes, Wrap, eroded, padded
from samovar.texture.features import halved
from samovar.texture.quilt import quilt

RADIUS = 3
"""Of a patch: its side is 7 pixels."""
LEAST_SIDE = 48
"""Of the smallest sample that is sewn together."""
MOST_HALVINGS = 4
ROUNDS = (6, 4, 3)
"""How often the steps take turns, from the coarsest level on; the last number goes on."""
SHARPNESS = (0.3, 0.02)
"""Quantile of the distances that votes are weighed by, in all rounds and in the last."""
STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))
USE_RADIUS, USE_WEIGHT, MOST_DUES = 8, 2.0, 4.0
"""Pixels around a place whose use counts as its own; what each use beyond its share costs, in usual distances, and the
most of that."""
NEAR = 32
"""Pixels, of the widest random search but in a level's first round, where all of the sample is searched."""
LARGE_PIXELS, LARGE_ROUNDS = 1 << 20, 1
"""From here on the steps take no turns: what they would still gain is not worth its time."""
BAND_ROWS = 64
"""Voted for at once."""
AT_ONCE = 1 << 18
"""Patches compared at once."""
FAR = float("inf")


def weave(
    sample: Planes, usable: Mask, size: tuple[int, int], wrap: Wrap, generator: torch.Generator,
    check: Callable[[], None] = lambda: None, kept: Mask | None = None,
) -> Planes:  # fmt: skip
    """A texture of that size, (H, W, C).

    sample : (h, w, C); usable : (h, w), pixels that may be copied
    check : called now and then; may raise to stop
    kept : (h, w), what of the sample stays where it is, so that the rest comes to fit it; `size` is then the sample's.
        None: nothing

    Raises NoWholeBlock if nothing is usable.
    """
    levels = _levels(sample, usable)
    sizes = [size]
    for _ in levels[1:]:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    stays = [kept]
    for _ in levels[1:]:
        stays.append(None if stays[-1] is None else _whole(stays[-1]))
    at = quilt(*levels[-1], sizes[-1], wrap, generator, check)
    y, x = at // levels[-1][0].shape[1], at % levels[-1][0].shape[1]
    made = levels[-1][0][y, x]
    for number, index in enumerate(reversed(range(len(levels)))):
        colours, free = levels[index]
        if number:
            y, x = _finer(y, x, sizes[index], colours.shape[:2])
            made = colours[y, x]
        if min(colours.shape[:2]) > 2 * RADIUS and bool(eroded(free, RADIUS).any()):
            cloth = _Cloth(colours, free, wrap, generator, check, y, x)
            large = sizes[index][0] * sizes[index][1] > LARGE_PIXELS
            made = cloth.woven(made, LARGE_ROUNDS if large else ROUNDS[min(number, len(ROUNDS) - 1)], stays[index])
            y, x = cloth.y, cloth.x
    return made if kept is None else torch.where(kept.unsqueeze(2), sample, made)


def _levels(sample: Planes, usable: Mask) -> list[tuple[Planes, Mask]]:
    """The sample and its halves, as long as there is something in them to copy."""
    levels = [(sample, usable)]
    while len(levels) <= MOST_HALVINGS:
        colours, free = levels[-1]
        if min(colours.shape[:2]) < 2 * LEAST_SIDE:
            break
        smaller = halved(colours.permute(2, 0, 1).unsqueeze(0))[0].permute(1, 2, 0).contiguous()
        whole = _whole(free)
        if not bool(free.all()) and not bool(eroded(whole, 2 * RADIUS, outside=True).any()):
            break
        levels.append((smaller, whole))
    return levels


def _whole(mask: Mask) -> Mask:
    """Of a mask, at half the size, what is nothing but it."""
    return halved(mask.float().expand(1, 1, -1, -1))[0, 0] > 0.999


def _finer(y: Tensor, x: Tensor, size: tuple[int, int], limits: torch.Size | tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """From where each pixel comes at twice the size."""
    rows, columns = torch.arange(size[0]).unsqueeze(1), torch.arange(size[1]).unsqueeze(0)
    finer_y = 2 * y[rows // 2, columns // 2] + rows % 2
    finer_x = 2 * x[rows // 2, columns // 2] + columns % 2
    return finer_y.clamp_(max=limits[0] - 1), finer_x.clamp_(max=limits[1] - 1)


class _Cloth:
    """A texture at one level. y, x : (H, W), centres of the patches of the sample that those of the texture are most
    like"""

    def __init__(
        self, sample: Planes, usable: Mask, wrap: Wrap, generator: torch.Generator, check: Callable[[], None],
        y: Tensor, x: Tensor,
    ) -> None:  # fmt: skip
        self._sources = Sources.of(sample, usable, RADIUS, (False, False))
        self._valid = self._sources.valid.flatten()
        self._sample, self._colours = sample, sample.flatten(0, 1)
        self._height, self._width = sample.shape[:2]
        self._wrap, self._generator, self._check = wrap, generator, check
        self.y, self.x = y.clone(), x.clone()
        self._wanted = sample.new_zeros(0)
        self._distances = sample.new_zeros(0)
        self._dues = sample.new_zeros(0)

    def woven(self, made: Planes, rounds: int, kept: Mask | None) -> Planes:
        for index in range(rounds):
            if kept is not None:
                made = torch.where(kept.unsqueeze(2), self._sample, made)
            self._wanted = described(made, self._sources.basis, RADIUS, self._wrap).flatten(0, 1)
            self._weigh_use()
            self._distances = torch.full(self.y.shape, FAR)
            self._consider(self.y, self.x)
            self._propagate()
            self._search(max(self._height, self._width) // 2 if index == 0 else NEAR)
            made = self._voted(SHARPNESS[index == rounds - 1], made)
        return made

    def _weigh_use(self) -> None:
        """What is used more than its share costs more. Else what is plain, and so like anything plain, would spread."""
        used = torch.bincount((self.y * self._width + self.x).flatten(), minlength=len(self._colours)).float()
        around = functional.avg_pool2d(
            used.view(1, 1, self._height, self._width), 2 * USE_RADIUS + 1, 1, USE_RADIUS, count_include_pad=False
        ).flatten()
        share = around * int(self._valid.sum()) / self.y.numel()
        usual = float(self._distances[self._distances < FAR].mean()) if self._distances.numel() else 0.0
        self._dues = USE_WEIGHT * usual * (share - 1).clamp(0, MOST_DUES)

    # --- the most similar patches -----------------------------------------------------------------------------------

    def _propagate(self) -> None:
        """What suits a neighbour, moved along."""
        for reach in (4, 1):
            for down, right in STEPS:
                dy, dx = down * reach, right * reach
                self._consider(
                    _moved(self.y, dy, dx) + dy, _moved(self.x, dy, dx) + dx, self._inside(dy, dx, *self.y.shape)
                )
            self._check()

    def _search(self, reach: int) -> None:
        """Places by chance, nearer and nearer."""
        while reach >= 1:
            steps = torch.randint(-reach, reach + 1, (2, *self.y.shape), generator=self._generator)
            self._consider(self.y + steps[0], self.x + steps[1])
            reach //= 3
            self._check()

    def _consider(self, y: Tensor, x: Tensor, allowed: Tensor | None = None) -> None:
        """Take each place that may be copied from and is more like, or the first that is one."""
        inside = (y >= 0) & (y < self._height) & (x >= 0) & (x < self._width)
        flat = (y.clamp(0, self._height - 1) * self._width + x.clamp(0, self._width - 1)).flatten()
        inside &= self._valid[flat].view_as(inside)
        if allowed is not None:
            inside &= allowed
        distances = torch.empty(len(flat))
        for start in range(0, len(flat), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            found = self._sources.descriptors.index_select(0, flat[part]).sub_(self._wanted[part])
            distances[part] = found.square_().sum(1).add_(self._dues[flat[part]])
        distances = torch.where(inside, distances.view_as(inside), FAR)
        better = distances < self._distances
        self._distances = torch.where(better, distances, self._distances)
        self.y, self.x = torch.where(better, y, self.y), torch.where(better, x, self.x)

    def _inside(self, dy: int, dx: int, height: int, width: int) -> Tensor:
        """(H, W), whether what is (dy, dx) before each is in the texture."""
        y, x = torch.arange(height) - dy, torch.arange(width) - dx
        rows = torch.ones_like(y, dtype=torch.bool) if self._wrap[0] else (y >= 0) & (y < height)
        columns = torch.ones_like(x, dtype=torch.bool) if self._wrap[1] else (x >= 0) & (x < width)
        return rows.unsqueeze(1) & columns.unsqueeze(0)

    # --- votes ------------------------------------------------------------------------------------------------------

    def _voted(self, sharpness: float, before: Planes) -> Planes:
        """What the patches over each pixel say it is, the more so the more they are like their sources."""
        found = self._distances < FAR
        known = self._distances[found]
        if not len(known):
            return before
        usual = known.kthvalue(max(1, int(len(known) * sharpness))).values
        weight = torch.where(found, torch.exp(-self._distances / (usual + 1e-9)) + 1e-6, 0.0)
        around = _around(weight, self._wrap, 0.0)
        source = _around(self.y * self._width + self.x, self._wrap)
        made = torch.empty_like(before)
        for start in range(0, len(made), BAND_ROWS):
            self._check()
            rows = slice(start, start + BAND_ROWS)
            made[rows] = self._band(around, source, before[rows], start)
        return made

    def _band(self, weight: Tensor, source: Tensor, before: Planes, top: int) -> Planes:
        """Some rows of the texture. weight, source : (H + 2 * RADIUS, W + 2 * RADIUS); top : the first of the rows"""
        height, width, _ = before.shape
        total, weights = torch.zeros_like(before), before.new_zeros(height, width)
        last = len(self._colours) - 1
        for dy in range(-RADIUS, RADIUS + 1):
            for dx in range(-RADIUS, RADIUS + 1):
                rows = slice(top + RADIUS - dy, top + RADIUS - dy + height)
                columns = slice(RADIUS - dx, RADIUS - dx + width)
                place = (source[rows, columns] + (dy * self._width + dx)).clamp_(0, last)
                says = self._colours.index_select(0, place.flatten()).view_as(before)
                counts = weight[rows, columns]
                total.addcmul_(says, counts.unsqueeze(2))
                weights += counts
        voted = total / weights.unsqueeze(2).clamp(min=1e-12)
        return torch.where(weights.unsqueeze(2) > 0, voted, before)


def _around(values: Tensor, wrap: Wrap, beyond: float | None = None) -> Tensor:
    """With RADIUS more on each side, from the other side where it wraps; else the last ones, or `beyond`."""
    planes = padded(values.unsqueeze(2), RADIUS, wrap, beyond)
    return planes[..., 0]


def _moved(values: Tensor, dy: int, dx: int) -> Tensor:
    """What was (dy, dx) before each; over the border, what comes from the other side."""
    return torch.roll(values, (dy, dx), (0, 1))
