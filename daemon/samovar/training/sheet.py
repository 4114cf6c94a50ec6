"""A sheet of pictures side by side, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from samovar.picture import Picture, writing
from samovar_link.messages import Raster

GAP = 4


def save(rows: Sequence[Sequence[Tensor]], path: Path) -> None:
    """Write a sheet. rows : of images (1, 1 or 3, h, w), 0..1, each in a cell of the largest's size"""
    height, width = (max(each.shape[axis] for row in rows for each in row) for axis in (2, 3))
    count = max(map(len, rows))
    sheet = torch.ones(3, len(rows) * (height + GAP) - GAP, count * (width + GAP) - GAP)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top, left = i * (height + GAP), j * (width + GAP)
            sheet[:, top : top + image.shape[2], left : left + image.shape[3]] = image[0].clamp(0, 1)
    pixels = sheet.mul(255).add(0.5).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    raster = Raster(pixels.shape[0], pixels.shape[1], 3)
    writing.write(Picture(raster, pixels.data.cast("B")), path)
