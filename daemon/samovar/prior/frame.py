"""Pictures are sparse in blocks of cosines: the fast method's first picture, and what holds it to what
pictures are like.

A block of 8x8 pixels has few large coefficients where it shows a picture and many small ones where it shows noise. All
blocks count, not only those of one grid: a picture is worked on at many shifts of the grid, and the mean is taken, so
that no grid shows. Colours are parted into a bright and two colourful planes first, which noise does not share.

Source: Yu and Sapiro, "DCT Image Denoising", IPOL 2011, doi 10.5201/ipol.2011.ys-dct (threshold, shifts, colours); the
second pass with the first as its measure: Dabov et al., "Image Denoising by Sparse 3-D Transform-Domain Collaborative
Filtering", IEEE TIP 16 (2007), section IV; falling thresholds where pixels are missing: Elad, Starck, Querre and
Donoho, "Simultaneous cartoon and texture image inpainting", ACHA 19 (2005).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from samovar.prior.observation import Observation, shrunk

SIDE = 8
THRESHOLD = 2.7
"""Deviations of the noise; what is below it is taken to be noise."""
ROUNDS = 16
"""For what is missing: so many thresholds, from the first to the last."""
FIRST, LAST = 0.35, 0.03
STEP = 2
"""Between two shifts of the grid, in pixels, along both axes; every other row of shifts is moved by one."""
MORE = 1.1
"""Times what was found of noise: cut off at black and white it looks smaller than it was."""
LEAST_SIGMA = 0.5 / 255
MEDIAN = 0.6745
"""Of the absolute value of a normal number."""
Shift = tuple[int, int]


def shifts() -> Iterator[Shift]:
    """The places of the grid that a picture is worked on."""
    for dy in range(0, SIDE, STEP):
        for dx in range(0, SIDE, STEP):
            yield dy + (dx // STEP) % 2, dx


def blocks(image: Tensor, shift: Shift) -> Tensor:
    """Coefficients of the blocks of a grid, in planes of brightness and colour. (1, C, H, W) -> (C, h, w, 64)"""
    planes = parted(image)
    height, width = planes.shape[-2:]
    pads = [(SIDE - shift[1]) % SIDE, 0, (SIDE - shift[0]) % SIDE, 0]
    pads[1], pads[3] = -(width + pads[0]) % SIDE, -(height + pads[2]) % SIDE
    # mirrored: noise that is repeated along a border would look like a line there
    padded = functional.pad(planes, pads, mode="reflect" if min(height, width) >= SIDE else "replicate")[0]
    channels, tall, wide = padded.shape
    cut = padded.view(channels, tall // SIDE, SIDE, wide // SIDE, SIDE).permute(0, 1, 3, 2, 4).flatten(3)
    return cut @ _cosines(image.device).T


def image_of(coefficients: Tensor, shift: Shift, height: int, width: int) -> Tensor:
    """The picture back from `blocks`."""
    return joined(_laid_out(coefficients @ _cosines(coefficients.device), shift, height, width))


def _laid_out(values: Tensor, shift: Shift, height: int, width: int) -> Tensor:
    """Blocks at their places. (C, h, w, 64) -> (1, C, H, W)"""
    channels, rows, columns = values.shape[:3]
    cut = values.reshape(channels, rows, columns, SIDE, SIDE).permute(0, 1, 3, 2, 4)
    whole = cut.reshape(1, channels, rows * SIDE, columns * SIDE)
    top, left = (SIDE - shift[0]) % SIDE, (SIDE - shift[1]) % SIDE
    return whole[..., top : top + height, left : left + width]


@functools.lru_cache(maxsize=4)
def _cosines(device: torch.device) -> Tensor:
    """The orthonormal cosine transform of 8x8 numbers, the mean first. (64, 64)"""
    at = torch.arange(SIDE, dtype=torch.float64)
    rows = torch.cos(math.pi * (2 * at[None] + 1) * at[:, None] / (2 * SIDE)) * math.sqrt(2 / SIDE)
    rows[0] /= math.sqrt(2)
    return torch.kron(rows, rows).float().to(device)


@functools.lru_cache(maxsize=4)
def _colours(device: torch.device) -> Tensor:
    """Orthonormal: brightness, red against blue, green against both."""
    rows = [[1 / 3**0.5] * 3, [1 / 2**0.5, 0, -1 / 2**0.5], [1 / 6**0.5, -2 / 6**0.5, 1 / 6**0.5]]
    return torch.tensor(rows, device=device)


def parted(image: Tensor) -> Tensor:
    """Red, green and blue as brightness and two colours; alpha, or a gray picture, as it is."""
    if image.shape[1] < 3:
        return image
    colour = torch.einsum("ij,bjhw->bihw", _colours(image.device), image[:, :3])
    return torch.cat([colour, image[:, 3:]], 1)


def joined(planes: Tensor) -> Tensor:
    """Back from `parted`."""
    if planes.shape[1] < 3:
        return planes
    colour = torch.einsum("ji,bjhw->bihw", _colours(planes.device), planes[:, :3])
    return torch.cat([colour, planes[:, 3:]], 1)


def deviation(image: Tensor, known: Tensor | None = None) -> Tensor:
    """Of the noise in each plane of `parted`, (C, 1, 1, 1): the median of the finest detail along both diagonals.

    known : (1, 1, H, W), above 0 what counts: what is hidden or missing has no noise. None: all

    Source: Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81 (1994).
    """
    planes = parted(image)
    height, width = (side // 2 * 2 for side in planes.shape[-2:])
    if not height or not width:
        return torch.full((planes.shape[1], 1, 1, 1), LEAST_SIGMA, device=image.device)
    a, b, c, d = (planes[0, :, y:height:2, x:width:2] for y in (0, 1) for x in (0, 1))
    detail = ((a - b - c + d) / 2).abs().flatten(1)
    if known is not None:
        there = known[0, 0, :height, :width].reshape(height // 2, 2, width // 2, 2).amin((1, 3)).flatten() > 0
        if there.any():
            detail = detail[:, there]
    detail = detail.median(1).values / MEDIAN
    return detail.clamp(min=LEAST_SIGMA).view(-1, 1, 1, 1)


def denoised(image: Tensor, sigma: Tensor, check: Callable[[], None] = lambda: None) -> Tensor:
    """Without noise of that deviation in each plane: what is large stays, and then, twice, each coefficient as far as
    it was found to be larger than the noise. check : called now and then; may raise to stop"""
    sigma = sigma * MORE
    picture = kept(image, THRESHOLD * sigma, check)
    for _ in range(2):
        picture = weighed(image, picture, sigma, check)
    return picture


def kept(image: Tensor, threshold: Tensor | float, check: Callable[[], None] = lambda: None) -> Tensor:
    """What is made of coefficients above a threshold."""

    def keep(coefficients: Tensor, shift: Shift) -> tuple[Tensor, Tensor]:
        large = coefficients.abs() > threshold
        large[..., 0] = True
        return coefficients * large, 1 / large.sum(3, keepdim=True)

    return _averaged(image, keep, check)


def weighed(image: Tensor, measure: Tensor, sigma: Tensor, check: Callable[[], None] = lambda: None) -> Tensor:
    """Wiener's filter: each coefficient by its share of picture, as another picture tells."""

    def weigh(coefficients: Tensor, shift: Shift) -> tuple[Tensor, Tensor]:
        power = blocks(measure, shift).square()
        gain = power / (power + sigma.square())
        gain[..., 0] = 1
        return coefficients * gain, 1 / gain.square().sum(3, keepdim=True)

    return _averaged(image, weigh, check)


def _averaged(
    image: Tensor, change: Callable[[Tensor, Shift], tuple[Tensor, Tensor]], check: Callable[[], None]
) -> Tensor:
    """The mean of what is made at all shifts. change : (coefficients, shift) -> new ones, and what each block counts"""
    height, width = image.shape[-2:]
    total, weights = torch.zeros_like(image), torch.zeros_like(image[:, :1])
    for shift in shifts():
        check()
        made, counts = change(blocks(image, shift), shift)
        # one weight for all planes, so that colours stay together
        weight = _laid_out(counts.mean(0, keepdim=True).expand(-1, -1, -1, SIDE * SIDE), shift, height, width)
        total += image_of(made, shift, height, width) * weight
        weights += weight
    return total / weights


def completed(
    observation: Observation, first: Tensor, check: Callable[[], None] = lambda: None, rounds: int = ROUNDS
) -> Tensor:
    """A picture that is sparse and agrees with what is known, from coarse to fine: thresholds fall from round to round.

    first : to begin with, in the size looked for
    """
    picture = first
    for index in range(rounds):
        threshold = FIRST * (LAST / FIRST) ** (index / max(1, rounds - 1))
        picture = _agreeing(observation, kept(picture, threshold, check))
    return picture.clamp(0, 1)


def _agreeing(observation: Observation, picture: Tensor) -> Tensor:
    """Moved to where it agrees with what is known."""
    if observation.factor == 1:
        return torch.lerp(picture, observation.values, observation.weights)
    lacking = (observation.values - shrunk(picture, observation.factor)) * observation.weights
    return picture + functional.interpolate(
        lacking, scale_factor=float(observation.factor), mode="bicubic", align_corners=False
    )


def penalty(image: Tensor, measure: Tensor, sigma: Tensor, most: float, shift: Shift) -> Tensor:
    """What a picture has that the noise could be, for each of its values: small coefficients, as another picture tells,
    count up to `most` times, large ones hardly.

    Its minimum, together with the squared error, is Wiener's filter.
    """
    power = blocks(measure, shift).square()
    noise = sigma.square()
    weight = noise / torch.maximum(power, noise / most)
    weight[..., 0] = 0
    return (weight * blocks(image, shift).square()).sum() / image.numel()
