"""The colorizers that this project trained, on photographs and line art that they were not trained on."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from laboratory import Laboratory, Pixels
from skimage import data

from samovar import card
from samovar.chroma import lab
from samovar.training import score, strokes
from samovar.weights import files

ART, PHOTO = "samovar/art-colour", "samovar/photo-colour"
MOST_BYTES = 16_000_000
SIDE = 128
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle")
LABORATORY = Laboratory()

pytestmark = pytest.mark.slow


@functools.cache
def photograph(name: str) -> Pixels:
    """Its middle, SIDE² RGB."""
    loaded = getattr(data, name)()
    whole = loaded[0] if isinstance(loaded, tuple) else loaded
    side = min(whole.shape[:2])
    top, left = ((size - side) // 2 for size in whole.shape[:2])
    square = torch.from_numpy(whole[top : top + side, left : left + side, :3].copy()).permute(2, 0, 1)[None].float()
    small = torch.nn.functional.interpolate(square, (SIDE, SIDE), mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


def planes(pixels: Pixels) -> torch.Tensor:
    return torch.from_numpy(pixels[..., :3].astype(np.float32) / 255).permute(2, 0, 1)[None]


def gray(pixels: Pixels) -> Pixels:
    """Of the same lightness."""
    light = lab.lightness(lab.light(planes(pixels)))
    made = lab.image(lab.light_of(light), torch.zeros(1, 2, *pixels.shape[:2]))
    return np.ascontiguousarray((made[0, :1] * 255).round().permute(1, 2, 0).to(torch.uint8).numpy())


def drawn(pixels: Pixels, seed: int) -> Pixels:
    """Ten strokes of a picture's own colours, RGBA."""
    hint, mask = strokes.drawn(lab.of(planes(pixels))[1], 10, torch.Generator().manual_seed(seed))
    level = lab.of(planes(pixels))[0] * mask
    colour = lab.image(lab.light_of(level), hint)
    made = torch.cat((colour, mask), 1)[0].permute(1, 2, 0)
    return np.ascontiguousarray((made * 255).round().to(torch.uint8).numpy())


@functools.cache
def scored(led: bool) -> tuple[score.Score, score.Score]:
    """Of all photographs, ours and those of no colour."""
    true, ours, none = [], [], []
    for index, name in enumerate(PHOTOGRAPHS):
        pixels = photograph(name)
        masks = {"hints": drawn(pixels, index)} if led else {}
        made = LABORATORY.run(gray(pixels), "colorize", masks=masks, model=PHOTO, keep_white=False).pixels
        true.append(lab.of(planes(pixels))[1])
        ours.append(lab.of(planes(made))[1])
        none.append(torch.zeros_like(true[-1]))
    images = [planes(photograph(name)) for name in PHOTOGRAPHS]
    return score.score(ours, true, images), score.score(none, true, images)


@pytest.mark.parametrize("model", [ART, PHOTO, "seed/sizedecoder"])
def test_weights_come_with_the_program_and_are_small(model: str) -> None:
    found = card.discover().get(model)
    assert found.embedded and found.licence == "MIT"
    path = files.locate(found.weights[""])
    assert path.stat().st_size <= MOST_BYTES and len(found.weights[""].sha256) == 64


def test_photographs_come_nearer_to_their_colours() -> None:
    ours, none = scored(led=False)
    print(f"error {ours.error:.2f} ({none.error:.2f} gray), PSNR of ab {ours.psnr:.2f} dB ({none.psnr:.2f})")
    assert ours.error < none.error and ours.psnr > none.psnr


def test_ten_strokes_bring_three_decibels() -> None:
    alone, led = scored(led=False)[0], scored(led=True)[0]
    print(f"PSNR of ab {alone.psnr:.2f} dB alone, {led.psnr:.2f} with strokes")
    assert led.psnr > alone.psnr + 3


def test_a_stroke_on_line_art_colours_its_area_and_stays_inside_the_outline() -> None:
    side = 200
    y, x = np.mgrid[:side, :side]
    page = np.full((side, side, 1), 255, np.uint8)
    for centre in (60, 140):  # two rings, drawn with a line of three pixels
        ring = np.abs(np.hypot(y - 100, x - centre) - 34) < 1.5
        page[ring] = 20
    hints = np.zeros((side, side, 4), np.uint8)
    hints[90:96, 50:70] = (200, 40, 40, 255)
    made = LABORATORY.run(page, "colorize", masks={"hints": hints}, model=ART, result="multiply").pixels
    colour = made[..., :3].astype(int)
    red = colour[..., 0] - colour[..., 1:].max(2)
    inside, other = np.hypot(y - 100, x - 60) < 31, np.hypot(y - 100, x - 140) < 31
    assert np.percentile(red[inside], 1) > 100, "all of its area"
    beyond = (np.hypot(y - 100, x - 60) > 38) & ~other
    assert np.percentile(red[other], 99) < 40 and np.percentile(red[beyond], 99) < 40
