"""Samovar's engine in this process: what its worker does with a job, without the way there and back."""

from __future__ import annotations

import numpy as np

from samovar import card, operation, runtimes
from samovar.worker.engine import Engine
from samovar.worker.job import Job
from samovar_link import discovery
from samovar_link.messages import Report

from . import daemon
from .picture import Picture, frame


class Ours:
    """Keeps models loaded and results' memory mapped, as a worker does."""

    def __init__(self) -> None:
        self.report = Report()
        """Of the last run."""
        self._engine = Engine(operation.discover(), card.discover(), trials=discovery.home() / runtimes.TRIALS_FILE)
        self._memory = np.empty(0, np.uint8)

    def upscale(self, picture: Picture, model: str, scale: int) -> Picture:
        """The result lies in memory that the next call uses again."""
        run = daemon.upscaling("bench", picture, model, scale)
        job = Job(run, lambda progress, pixels: None, lambda: False, self._allocate)
        result = self._engine.execute(run, [frame(picture)], job)
        self.report = result.report
        raster = result.images["image"]
        pixels = np.frombuffer(result.frames[raster.frame], np.uint8)
        return pixels.reshape(raster.height, raster.width, raster.channels)

    def _allocate(self, size_bytes: int) -> memoryview:
        if len(self._memory) < size_bytes:
            self._memory = np.zeros(size_bytes, np.uint8)
        return frame(self._memory)[:size_bytes]
