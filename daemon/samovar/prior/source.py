"""The input of a network that is fitted to a picture: noise or coordinates, the same at the same place of the picture,
whichever part of it is asked for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from samovar.prior.recipes import GRID, NOISE

NOISE_TOP, NORMAL_DEVIATION = 0.1, 0.1


def make(kind: str, depth: int, seed: int, rows: range, columns: range, height: int, width: int) -> Tensor:
    """(1, depth, len(rows), len(columns)) of a picture of the given size; what lies beyond repeats it."""
    if kind == GRID:
        y = torch.tensor(rows).remainder(height) / max(1, height - 1)
        x = torch.tensor(columns).remainder(width) / max(1, width - 1)
        return torch.stack(torch.meshgrid(y, x, indexing="ij")).unsqueeze(0)
    made = np.empty((depth, len(rows), len(columns)), np.float32)
    at = np.arange(columns.start, columns.stop) % width
    for index, row in enumerate(rows):
        chance = np.random.Generator(np.random.Philox(key=np.array([seed, row % height], np.uint64)))
        if kind == NOISE:
            made[:, index] = chance.random((width, depth), np.float32)[at].T * np.float32(NOISE_TOP)
        else:
            made[:, index] = chance.standard_normal((width, depth), np.float32)[at].T * np.float32(NORMAL_DEVIATION)
    return torch.from_numpy(made).unsqueeze(0)
