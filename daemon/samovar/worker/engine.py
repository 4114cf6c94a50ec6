"""Executes runs on one device. Knows no sockets, no processes, no clients: a `Run` and its pixels in, a `Result` out.

Importing this file imports no torch, so that a worker is up at once and raw operations never wait for it; the first
run that needs torch pays for it under `seconds.load`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from samovar.card import Catalogue, ModelCard
from samovar.operation import Operation, Registry
from samovar.worker import heap
from samovar.worker.job import Job, Result
from samovar.worker.trouble import is_out_of_memory
from samovar_link.errors import BadRequest, OutOfMemory
from samovar_link.messages import LoadedModel, Raster, Report, Run, Seconds, Tiles, Value

if TYPE_CHECKING:
    from samovar.networks import Network
    from samovar.worker.model_job import ModelJob
    from samovar.worker.pool import Pool
    from samovar.worker.tile_cache import TileCache


class Engine:
    """clock : seconds that never go back, for keep-alive and the report; load : how networks are got, for tests

    trials : file that remembers which runtime is fastest for which model; None: the plain one for all
    cache_bytes : of finished tiles that are remembered; None leaves it to the cache
    checkpoints : folder where long jobs put aside how far they are; None: they do not
    """

    def __init__(
        self,
        registry: Registry,
        catalogue: Catalogue,
        device: str = "cpu",
        clock: Callable[[], float] = time.monotonic,
        load: Callable[[ModelCard, str, str], Network] | None = None,
        trials: Path | None = None,
        cache_bytes: int | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        self.device = device
        self._load = load
        self._registry = registry
        self._catalogue = catalogue
        self._clock = clock
        self._trials = trials
        self._cache_bytes = cache_bytes
        self._checkpoints = checkpoints
        self._pool: Pool | None = None
        self._cache: TileCache | None = None

    def execute(self, run: Run, frames: Sequence[memoryview], job: Job) -> Result:
        """Do what `run` says.

        Raises RemoteErrors that say whose fault it was, JobCancelled, and whatever an operation's defect raises.
        """
        began = self._clock()
        operation = self._registry.get(run.operation)
        params = self._registry.check(run, self._catalogue.ids(run.operation))
        _check_frames(run, frames)
        try:
            if operation.raw:
                return self._execute_raw(operation, params, run, frames, job, began)
            return self._execute(operation, params, run, frames, job, began)
        except Exception as error:
            if is_out_of_memory(error):
                raise OutOfMemory(f"{run.operation}: {str(error).splitlines()[0]}", _way_out(operation)) from error
            raise

    def loaded(self) -> tuple[LoadedModel, ...]:
        """Models held in memory."""
        return self._pool.loaded() if self._pool else ()

    def expire(self) -> float | None:
        """Unload what is due, and with the last model the tiles that are remembered. Returns the seconds until the next
        model is, or None if none will be."""
        if self._pool is None:
            return None
        left = self._pool.expire()
        self._forget_tiles(self._pool)
        return left

    def warm(
        self,
        operation: str,
        parameters: Mapping[str, Value],
        keep_alive_seconds: float,
        check: Callable[[], None] = lambda: None,
    ) -> tuple[str, ...]:
        """Load what a run with these parameters would use; its names as in `LoadedModel`. Raises RemoteErrors.

        keep_alive_seconds : how long it stays at least; below 0: for ever
        check : called now and then; raises if there is something better to do
        """
        found = self._registry.get(operation)
        params = found.parse(parameters, self._catalogue.ids(operation))
        if found.weights is None:
            return ()
        pool, _ = self._ready_pool()  # also for a method without weights: torch takes seconds to import
        wanted = found.weights(params, self._catalogue)
        return tuple(
            pool.warm(self._catalogue.get(model), variant, keep_alive_seconds, check)
            for model, variant in dict.fromkeys(wanted)
        )

    def unload(self, model: str) -> tuple[tuple[str, ...], int]:
        """Drop a model with all its variants, or all for "", unless in use: names as in `LoadedModel`, and bytes. With
        the last model go the tiles that are remembered."""
        if self._pool is None:
            return (), 0
        dropped = self._pool.unload(model)
        self._forget_tiles(self._pool)
        return dropped

    def _forget_tiles(self, pool: Pool) -> None:
        if self._cache is not None and not pool.loaded():
            self._cache.clear()
            heap.give_back()

    def _execute_raw(
        self, operation: Operation, params: object, run: Run, frames: Sequence[memoryview], job: Job, began: float
    ) -> Result:
        rasters = {role: (raster, frames[raster.frame]) for role, raster in run.images.items()}
        images: dict[str, Raster] = {}
        results: list[memoryview] = []
        for role, (raster, frame) in operation.function(rasters, params, job).items():
            images[role] = replace(raster, frame=len(results))
            results.append(job.allocate(raster.size_bytes))
            np.copyto(np.frombuffer(results[-1], np.uint8), np.frombuffer(frame, np.uint8))
        compute = self._clock() - began - job.paused_seconds
        return Result(images, results, Report(self.device, seconds=Seconds(compute=compute)))

    def _execute(
        self, operation: Operation, params: object, run: Run, frames: Sequence[memoryview], job: Job, began: float
    ) -> Result:
        pool, load = self._ready_pool()
        import torch

        from samovar.worker import layer
        from samovar.worker.model_job import ModelJob

        loaded_before, paused_before = pool.load_seconds, job.paused_seconds
        with torch.inference_mode(), ModelJob(job, self._catalogue, pool, self._cache, self._checkpoints) as work:
            images, results = layer.run(operation, params, work, frames, job.allocate)
        load += pool.load_seconds - loaded_before
        pool.load_seconds = loaded_before  # so that a job for which this one goes ahead does not count it
        compute = self._clock() - began - load - (job.paused_seconds - paused_before)
        seconds = Seconds(load=load, compute=compute)
        return Result(images, results, self._report(work, seconds))

    def _ready_pool(self) -> tuple[Pool, float]:
        """The pool, and the seconds that importing torch for it took just now."""
        if self._pool is not None:
            return self._pool, 0.0
        began = self._clock()
        from samovar import networks
        from samovar.worker.pool import Pool
        from samovar.worker.tile_cache import TileCache

        choose = None
        if self._trials is not None:
            from samovar import runtimes
            from samovar.worker.trial import Trials

            choose = Trials(runtimes.discover(), self._trials).choose
        self._cache = TileCache() if self._cache_bytes is None else TileCache(self._cache_bytes)
        self._pool = Pool(self.device, self._load or networks.load, self._clock, choose)
        return self._pool, self._clock() - began

    def _report(self, work: ModelJob, seconds: Seconds) -> Report:
        model, sha256 = work.method, ""
        if work.used:
            (model, variant), card = next(iter(work.used.items()))
            sha256 = card.weights[variant].sha256 if variant in card.weights else ""
        runtime, _, dtype = work.runtime.partition(" ")
        return Report(
            work.device, runtime, dtype, model, sha256, Tiles(work.tiles, work.cached), seconds, tuple(work.retries),
            tuple(work.notes),
        )  # fmt: skip


def _check_frames(run: Run, frames: Sequence[memoryview]) -> None:
    for role, raster in run.images.items():
        if not 0 <= raster.frame < len(frames):
            raise BadRequest.field(f"{role} frame", raster.frame, f"0..{len(frames) - 1}")
        if frames[raster.frame].nbytes != raster.size_bytes:
            raise BadRequest.field(f"{role} bytes", frames[raster.frame].nbytes, str(raster.size_bytes))


def _way_out(operation: Operation) -> str:
    """What may be done about memory that does not suffice."""
    ways = ["work on a smaller part"]
    ways += ["ask for a smaller result"] if operation.output_size is not None else []
    ways += ["choose a lighter model"] if operation.weights is not None else []
    return ", or ".join(filter(None, (", ".join(ways[:-1]), ways[-1])))
