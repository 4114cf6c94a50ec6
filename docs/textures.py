"""The contact sheet of docs/texture.md: samples, and what each way makes of them, twice beside itself.

    python docs/textures.py SHEET.jpg

Needs the extra `bench`. Uses the installed `samovar` program as a user would, but for two columns: quilting alone, and
the features of our own colorizer, which are not offered because of what this sheet shows.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyvips
import torch
from torch import Tensor

from samovar import card, networks
from samovar.bench.texture import SIDE, quilted
from samovar.chroma import lab
from samovar.networks.chroma_unet import ChromaUNet
from samovar.texture import grow
from samovar.texture.features import NetworkFeatures
from samovar.texture.fit import Bounded, Fit, Over
from samovar.texture.grow import Sample
from samovar.texture.histogram import matched
from samovar.texture.statistics import Gram

NAMES = ("brick", "grass", "gravel", "immunohistochemistry")
PROGRAM = {
    "default": (),
    "random filters": ("--model", "texture/random"),
    "from noise": ("--model", "texture/random", "--start", "noise", "--seconds", "30"),
    "sliced": ("--model", "texture/random", "--start", "noise", "--seconds", "30", "--loss", "sliced"),
}
OWN_SECONDS = 30.0
COLORIZER = "samovar/art-colour"


def main(sheet: Path) -> None:
    rows = []
    for name in NAMES:
        sample = photograph(name)
        with tempfile.TemporaryDirectory() as folder:
            columns = [sample, quilted(sample), *(by_program(sample, Path(folder), more) for more in PROGRAM.values())]
        columns.append(by_own_features(sample))
        rows.append(torch.cat([each.expand(-1, 3, -1, -1) for each in columns], 3))
    written(torch.cat(rows, 2), sheet)


def photograph(name: str) -> Tensor:
    """(1, 1 or 3, SIDE, SIDE), 0..1"""
    from skimage import data

    pixels = torch.from_numpy(getattr(data, name)()).float() / 255
    planes = pixels.unsqueeze(0) if pixels.dim() == 2 else pixels.permute(2, 0, 1)
    return planes[None, :, :SIDE, :SIDE].contiguous()


def by_program(sample: Tensor, folder: Path, options: tuple[str, ...]) -> Tensor:
    source, result = folder / "sample.png", folder / f"made{len(options)}.png"  # libvips remembers files by name
    written(sample, source)
    program = str(Path(sys.executable).parent / "samovar")
    command = [program, "texture", source, "-o", result, "--tile-x", "--tile-y", "--seed", "1", *options]
    subprocess.run(list(map(str, command)), check=True)
    made = torch.from_numpy(pyvips.Image.new_from_file(str(result)).numpy().copy()).float() / 255
    return made.view(SIDE, SIDE, -1).permute(2, 0, 1).unsqueeze(0)


def by_own_features(sample: Tensor) -> Tensor:
    """From noise, by what the colorizer's encoder sees of the lightness."""
    network = networks.load(card.discover().get(COLORIZER), "")
    assert isinstance(network, ChromaUNet)

    def answers(picture: Tensor) -> list[Tensor]:
        light, colour = lab.of(picture.clamp(1e-3, 1 - 1e-3))
        seen = [network.stem(torch.cat([(light - 50) / 50, colour / 110, torch.ones_like(light)], 1))]
        for down in network.down:
            seen.append(down(seen[-1]))
        return seen

    all_of_it = torch.ones_like(sample[:, :1])
    its = Sample(sample, False, all_of_it)
    statistics = Gram(NetworkFeatures(answers, (2, 4, 8, 16), 64), sample, False, all_of_it)
    start = grow.noise(its, (SIDE, SIDE), torch.Generator().manual_seed(1))
    low, high = (each.view(1, -1, 1, 1).expand_as(start) for each in (its.values.amin(1), its.values.amax(1)))
    end = time.monotonic() + OWN_SECONDS
    fit = Fit(
        Bounded(start, low, high), lambda each: statistics.loss(each, (True, True)),
        lambda _: time.monotonic() > end, patient=True,
    )  # fmt: skip
    with contextlib.suppress(Over):
        fit.run(10_000)
    return matched(fit.picture, its.values)


def written(picture: Tensor, path: Path) -> None:
    pixels = picture[0].permute(1, 2, 0).clamp(0, 1).mul(255).round().byte().contiguous().numpy()
    pyvips.Image.new_from_array(pixels).write_to_file(str(path) + ("[Q=80]" if path.suffix == ".jpg" else ""))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
