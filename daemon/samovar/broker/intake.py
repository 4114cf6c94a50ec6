"""What a `Run` must keep before it may wait in the queue. Everything here is arithmetic on announced sizes: a bad
request costs nothing but its reading."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from samovar.card import Catalogue
from samovar.operation import Registry
from samovar_link import codec
from samovar_link.errors import BadRequest
from samovar_link.messages import PACKINGS, PRIORITIES, Limits, OperationInfo, Rectangle, Run, Warm, Welcome

_MAX_JOB_ID = 64
_MAX_KEEP_ALIVE_SECONDS = 366 * 86400.0


@dataclass(frozen=True)
class Offer:
    """What this daemon can do and how much of it, told to every client."""

    registry: Registry
    catalogue: Catalogue
    limits: Limits = field(default_factory=Limits)

    def welcome(self, version: str, pid: int) -> Welcome:
        infos: tuple[OperationInfo, ...] = tuple(operation.info() for operation in self.registry)
        models = tuple(card.info() for card in self.catalogue)
        return Welcome(version=version, pid=pid, operations=infos, models=models, limits=self.limits, packings=PACKINGS)

    def check(self, run: Run, frame_sizes: Sequence[int]) -> None:
        """Raises BadRequest, naming field, value and what is allowed."""
        if run.priority not in PRIORITIES:
            raise BadRequest.field("Run.priority", run.priority, ", ".join(PRIORITIES))
        _check_keep_alive("Run", run.keep_alive_seconds)
        if len(frame_sizes) > self.limits.max_frames:
            allowed = f"at most {self.limits.max_frames} frames of pixels"
            raise BadRequest.field("frames", f"more than {self.limits.max_frames}", allowed)
        operation = self.registry.get(run.operation)
        codec.check_images(run.images, frame_sizes, self.limits)
        params = self.registry.check(run, self.catalogue.ids(run.operation))
        image = run.images.get("image")
        if image is None:
            return
        for name, part in (("region", run.region), ("viewport", run.viewport)):
            _check_part(name, part, image.width, image.height)
        if operation.output_size is not None:
            self._check_output(*operation.output_size(image.width, image.height, params))

    def check_warm(self, warm: Warm) -> None:
        """Raises BadRequest, as `check` does for a `Run`."""
        _check_keep_alive("Warm", warm.keep_alive_seconds)
        self.registry.get(warm.operation).parse(warm.parameters, self.catalogue.ids(warm.operation))

    def check_model(self, model: str) -> None:
        """Raises BadRequest for a model that is not offered; "" is all of them."""
        if model:
            self.catalogue.get(model)

    def _check_output(self, width: int, height: int) -> None:
        if width * height > self.limits.max_output_pixels:
            raise BadRequest.field(
                "size of the result", f"{width}x{height}", f"at most {self.limits.max_output_pixels} pixels",
                "choose a smaller factor, or work on a selection",
            )  # fmt: skip


def check_job_id(job: str) -> None:
    """Raises BadRequest for an id that cannot name a job."""
    if not 1 <= len(job) <= _MAX_JOB_ID or not job.isprintable():
        raise BadRequest.field("Run.job", job, f"1..{_MAX_JOB_ID} printable characters")


def check_training_id(job: str) -> None:
    """Raises BadRequest for an id that cannot name a training. Its words lie in a file of that name: so it is neither a
    path nor an option of the program that reads it."""
    if not re.fullmatch(rf"[0-9a-f]{{1,{_MAX_JOB_ID}}}", job):
        raise BadRequest.field("Train.job", job, f"1..{_MAX_JOB_ID} hexadecimal digits, as samovar train gives them")


def _check_keep_alive(kind: str, seconds: float) -> None:
    if not (seconds == -1 or 0 <= seconds <= _MAX_KEEP_ALIVE_SECONDS) or math.isnan(seconds):
        allowed = f"0..{_MAX_KEEP_ALIVE_SECONDS:g} s, or -1 for ever"
        raise BadRequest.field(f"{kind}.keep_alive_seconds", seconds, allowed)


def _check_part(name: str, part: Rectangle | None, width: int, height: int) -> None:
    if part is None:
        return
    inside = part.x >= 0 and part.y >= 0 and part.x + part.width <= width and part.y + part.height <= height
    if not inside or part.width < 1 or part.height < 1:
        shown = f"{part.width}x{part.height} at {part.x},{part.y}"
        raise BadRequest.field(f"Run.{name}", shown, f"a part of the image, {width}x{height}")
