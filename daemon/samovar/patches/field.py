"""The nearest-neighbour field: for each patch of a picture to be made, the patch most like it in what is known.

Patches are compared by *descriptors*, their first principal components: a comparison then reads a few numbers instead
of a whole patch, and comparing all with all is one matrix product. Where that is too much, the field is improved step
by step: each patch tries what suits its neighbours, moved along, and random places nearer and nearer to its own.

Source: Barnes et al., "PatchMatch", SIGGRAPH 2009, section 3 (propagation, random search), in parallel over all patches
instead of in scan order; He and Sun, "Computing Nearest-Neighbor Fields via Propagation-Assisted KD-Trees", CVPR 2012,
section 2.1 (descriptors of few components).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from samovar.patches.grid import Mask, Planes, Wrap, around, eroded, padded

COMPONENTS = 24
"""Of a descriptor."""
SAMPLE = 4096
"""Patches from which the principal components are found."""
MATRIX = 1 << 22
"""Elements of the matrix of distances at once."""
NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
FAR = float("inf")


@dataclass(frozen=True)
class Sources:
    """Patches that may be copied.

    valid : (H, W) bool, centres of patches of nothing but usable pixels
    basis : (components, C, p, p), makes descriptors of patches
    descriptors : (H * W, components)
    """

    radius: int
    wrap: Wrap
    valid: Mask
    basis: Tensor
    descriptors: Tensor

    @classmethod
    def of(cls, planes: Planes, usable: Mask, radius: int, wrap: Wrap) -> Sources:
        """usable : (H, W), pixels that may be copied. There has to be a whole patch of them."""
        valid = eroded(usable, radius, wrap)
        basis = _principal(planes, valid, radius, wrap)
        return cls(radius, wrap, valid, basis, described(planes, basis, radius, wrap).flatten(0, 1))


def described(planes: Planes, basis: Tensor, radius: int, wrap: Wrap) -> Tensor:
    """Descriptors of all patches, (H, W, components)."""
    seen = padded(planes, radius, wrap).permute(2, 0, 1).unsqueeze(0)
    found: Tensor = functional.conv2d(seen, basis)[0].permute(1, 2, 0).contiguous()
    return found


def patches_at(planes: Planes, y: Tensor, x: Tensor, radius: int, wrap: Wrap) -> Tensor:
    """Whole patches with their centres at (y, x). (N,), (N,) -> (N, C, p, p)"""
    whole = padded(planes, radius, wrap)
    side = torch.arange(2 * radius + 1)
    rows, columns = y.view(-1, 1, 1) + side.view(1, -1, 1), x.view(-1, 1, 1) + side.view(1, 1, -1)
    found: Tensor = whole[rows, columns].permute(0, 3, 1, 2)
    return found


def _principal(planes: Planes, valid: Mask, radius: int, wrap: Wrap) -> Tensor:
    at = valid.flatten().nonzero().flatten()
    if len(at) > SAMPLE:
        at = at[torch.randint(len(at), (SAMPLE,), generator=torch.Generator().manual_seed(0))]
    width = planes.shape[1]
    patches = patches_at(planes, at // width, at % width, radius, wrap)
    flat = patches.flatten(1).double()
    flat = flat - flat.mean(0)
    _, vectors = torch.linalg.eigh(flat.T @ flat)
    count = min(COMPONENTS, vectors.shape[1])
    basis: Tensor = vectors.T.flip(0)[:count].float().view(count, *patches.shape[1:]).contiguous()
    return basis


class Field:
    """The field of some patches over some sources.

    at : (N,), where the patches are, flat
    y, x : (N,), centres of the patches that are most like them
    row : (H * W,), which of them has its centre there; N where none has
    distances : (N,), sums of squared differences of descriptors; FAR where nothing was found yet
    """

    def __init__(self, at: Tensor, sources: Sources, generator: torch.Generator) -> None:
        self.at = at
        self.sources = sources
        self.height, self.width = sources.valid.shape
        self._generator = generator
        self._here = at // self.width, at % self.width
        touched = torch.zeros_like(sources.valid)
        touched.view(-1)[at] = True
        self._box = around(touched, sources.radius, sources.wrap)
        self._known = sources.valid.flatten().nonzero().flatten()
        self.row = torch.full((self.height * self.width,), len(at), dtype=torch.int64)
        self.row[at] = torch.arange(len(at))
        drawn = self._known[torch.randint(len(self._known), (len(at),), generator=generator)]
        self.y, self.x = drawn // self.width, drawn % self.width
        self.distances = torch.full((len(at),), FAR)
        self._wanted = sources.descriptors.new_zeros((len(at), sources.descriptors.shape[1]))

    def look(self, planes: Planes) -> None:
        """Take the patches as they are now, and how far they are from what was found."""
        sources, (rows, columns) = self.sources, self._box
        here = described(planes[rows, columns], sources.basis, sources.radius, sources.wrap)
        self._wanted = here[self._here[0] - rows.start, self._here[1] - columns.start]
        self.distances = self._distances(self.y * self.width + self.x)

    def search_all(self, check: Callable[[], None]) -> None:
        """Compare all patches with all sources. check : called now and then; may raise to stop"""
        sources = self.sources.descriptors[self._known]
        lengths = sources.square().sum(1)
        step = max(1, MATRIX // len(sources))
        for start in range(0, len(self.at), step):
            part = slice(start, start + step)
            found = torch.addmm(lengths, self._wanted[part], sources.T, alpha=-2).argmin(1)
            flat = self._known[found]
            self.y[part], self.x[part] = flat // self.width, flat % self.width
            check()
        self.distances = self._distances(self.y * self.width + self.x)

    @property
    def cost(self) -> int:
        """Of `search_all`, in multiplications."""
        return len(self.at) * len(self._known) * self._wanted.shape[1]

    def improve(self, reach: int, check: Callable[[], None]) -> None:
        """One round of propagation and of random search.

        reach : pixels, of the widest random search
        """
        for step in (4, 2, 1):
            for dy, dx in NEIGHBOURS[: 8 if step == 1 else 4]:
                self._propagate(dy * step, dx * step)
            check()
        while reach >= 1:
            steps = torch.randint(-reach, reach + 1, (2, len(self.at)), generator=self._generator)
            self.consider(self.y + steps[0], self.x + steps[1])
            reach //= 4
        check()

    def _propagate(self, dy: int, dx: int) -> None:
        """What suits the patch at (dy, dx) from each, moved along."""
        y, x, inside = self.placed(self._here[0] + dy, self._here[1] + dx)
        row = self.row[y * self.width + x]
        inside &= row < len(self.at)
        row = row.clamp_(max=len(self.at) - 1)
        self.consider(self.y[row] - dy, self.x[row] - dx, inside)

    def consider(self, y: Tensor, x: Tensor, allowed: Tensor | None = None) -> None:
        """Take each candidate that is a source, and nearer than what was found."""
        y, x, inside = self.placed(y, x)
        flat = y * self.width + x
        inside &= self.sources.valid.flatten()[flat]
        if allowed is not None:
            inside &= allowed
        distances = torch.where(inside, self._distances(flat), FAR)
        better = distances < self.distances
        self.distances = torch.where(better, distances, self.distances)
        self.y, self.x = torch.where(better, y, self.y), torch.where(better, x, self.x)

    def _distances(self, flat: Tensor) -> Tensor:
        return self.sources.descriptors.index_select(0, flat).sub_(self._wanted).square_().sum(1)

    def placed(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Within the picture, and whether they were so: along an axis that wraps they always are."""
        inside = torch.ones_like(y, dtype=torch.bool)
        if self.sources.wrap[0]:
            y = y % self.height
        else:
            inside &= (y >= 0) & (y < self.height)
            y = y.clamp(0, self.height - 1)
        if self.sources.wrap[1]:
            x = x % self.width
        else:
            inside &= (x >= 0) & (x < self.width)
            x = x.clamp(0, self.width - 1)
        return y, x, inside
