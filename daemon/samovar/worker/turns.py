"""The fits of a picture take turns of about a second, in which each makes at least one step; after its turn what it has
come to is shown, and put aside now and then. They go on until the time is up, all of them are over, or the user is
content; a job is cancelled between two steps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import torch

from samovar.operations.restore import Params
from samovar.prior.fit import Fit
from samovar.worker.checkpoints import Checkpoints
from samovar.worker.model_job import ModelJob
from samovar.worker.mosaic import Mosaic

FIRST_TURN_SECONDS, TURN_SECONDS = 0.3, 1.0
CHECKPOINT_SECONDS = 5.0
"""Of work on a tile, that is lost with a worker at most."""


class Turns:
    """The fits of one picture at work. show : called with the index of the one whose turn is over"""

    def __init__(
        self, params: Params, job: ModelJob, mosaic: Mosaic, aside: Checkpoints, show: Callable[[int], None]
    ) -> None:
        self._params, self._job, self._mosaic, self._aside, self._show = params, job, mosaic, aside, show
        self._spent = [0.0] * len(mosaic)
        self._put_aside = [0.0] * len(mosaic)
        self._steps = 0

    def take(self) -> None:
        """Until it is enough."""
        waiting = deque(range(len(self._mosaic)))
        for index in waiting:
            self._resume(index)
        ended = ""
        while waiting and not ended:
            index = waiting.popleft()
            fit = self._mosaic.fit(index)
            ended = self._turn(index, fit, TURN_SECONDS if fit.count else FIRST_TURN_SECONDS)
            self._show(index)
            self._save(index, fit)
            self._job.progress(self._fraction, f"step {fit.count}")
            if not self._is_over(fit):
                waiting.append(index)
        self._note(ended)

    def _turn(self, index: int, fit: Fit, seconds: float) -> str:
        """Some steps of one fit. Returns why it is the last turn, "" if it is not."""
        end, made = self._spent[index] + seconds, 0
        while not self._is_over(fit):
            self._job.check()
            if self._job.enough and fit.count:
                return "kept"
            if not self._params.iterations and sum(self._spent) >= self._params.seconds:
                return "time"
            if self._spent[index] >= end and made:
                return ""
            began = time.monotonic()
            fit.step()
            made += 1
            self._spent[index] += time.monotonic() - began
            self._steps += 1
        return ""

    def _is_over(self, fit: Fit) -> bool:
        if self._params.iterations:
            return fit.count >= self._params.iterations
        return fit.over or fit.count >= fit.recipe.iterations

    @property
    def _fraction(self) -> float:
        if self._params.iterations:
            return min(0.99, self._steps / (self._params.iterations * len(self._mosaic)))
        return min(0.99, sum(self._spent) / self._params.seconds)

    def _note(self, ended: str) -> None:
        fits = [self._mosaic.fit(index) for index in range(len(self._mosaic)) if self._mosaic.begun(index)]
        steps = max((fit.count for fit in fits), default=0)
        why = {"kept": "kept as it was", "time": "the time was up"}.get(ended, "it was over by itself")
        if self._params.iterations and not ended:
            why = "as asked for"
        self._job.notes.append(f"{why} after {steps} steps, {sum(self._spent):.0f} s")

    # --- aside ------------------------------------------------------------------------------------------------------

    def _save(self, index: int, fit: Fit) -> None:
        if self._spent[index] - self._put_aside[index] < CHECKPOINT_SECONDS:
            return
        self._put_aside[index] = self._spent[index]
        self._aside.write(
            self._part(index), {**fit.state(), "spent": torch.tensor([self._spent[index]], dtype=torch.float64)}
        )

    def _resume(self, index: int) -> None:
        """Go on where an earlier worker was."""
        state = self._aside.read(self._part(index))
        if state is None:
            return
        self._spent[index] = self._put_aside[index] = float(state.pop("spent"))
        fit = self._mosaic.fit(index)
        fit.resume(state)
        self._steps += fit.count

    def _part(self, index: int) -> str:
        """Tiles that became smaller for want of memory do not take up the states of larger ones."""
        return f"{index}-of-{len(self._mosaic)}"
