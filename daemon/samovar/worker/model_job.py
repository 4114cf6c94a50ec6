"""A job as an operation sees it: its progress, and models to send pictures through."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from samovar.card import Catalogue, ModelCard
from samovar.networks import PoolingNetwork, StagedNetwork, WholeNetwork
from samovar.runtimes import PLAIN
from samovar.worker import ladder, room
from samovar.worker.enlarge import Finished, enlarge
from samovar.worker.flats import Flats
from samovar.worker.image import LEVELS, Image
from samovar.worker.job import Job
from samovar.worker.known import Known
from samovar.worker.passage import HELD_BYTES, Passage
from samovar.worker.pool import Leased, Pool
from samovar.worker.survey import Survey
from samovar.worker.tile_cache import TileCache
from samovar.worker.tiling import Tile, View
from samovar_link.errors import BadRequest
from samovar_link.messages import BATCH, Raster, Run

Shown = Callable[[Image, Image], Image]
"""(tile before, tile after the model) -> what it looks like in the result, of any size."""
Watch = Callable[[Image, Tile, tuple[int, int]], None]
"""Takes finished colour, the tile it is of, and the size (height, width) of the picture that the tile is part of."""


SURVEY_SHARE = 0.3
"""Of the progress of the first piece of a picture; what the survey takes of a piece of usual size."""


class _Captured(Exception):
    def __init__(self, image: Image) -> None:
        super().__init__()
        self.image = image


class ModelJob:
    """One run of one operation on canonical images.

    wrap : whether the picture goes on at its other side along (y, x)
    tiles : that the result is made of so far; cached : how many of them were known already
    runtime, device : id of what the last model ran on, and where; retries : a sentence for each step down the ladder
    used : card and variant of every model applied, in order of first use
    view : what the user looks at, in shares of the picture; its tiles come first. None: all are alike
    gray : whether pictures go through as gray; None: those that are
    survey : gives the means over a picture of which only a piece is at hand; None: all of it is
    seed : of what chance decides
    method : what the report calls a way without a model; notes : what else it tells
    checkpoints : folder for what is put aside; None: nothing is
    watch : takes what is shown of the result while it comes, see `Watch`; None if nobody looks

    Networks stay leased until the `with` block around the job ends.
    """

    def __init__(
        self,
        job: Job,
        catalogue: Catalogue,
        pool: Pool,
        cache: TileCache | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        self.run: Run = job.run
        self.wrap = (job.run.wrap_y, job.run.wrap_x)
        self.tiles = self.cached = 0
        self.runtime, self.device = PLAIN, pool.device
        self.retries: list[str] = []
        self.used: dict[tuple[str, str], ModelCard] = {}
        self.view: View | None = None
        self.watch: Watch | None = None
        self.gray: bool | None = None
        self.survey: Survey | None = None
        self.seed = job.run.seed
        self.method = ""
        self.notes: list[str] = []
        self.checkpoints = checkpoints
        self._calls = 0
        self._capture: int | None = None
        self._job = job
        self._catalogue = catalogue
        self._pool = pool
        self._cache = cache if job.run.priority != BATCH else None  # a folder's pictures come once
        if self._cache is not None:
            self._cache.begin()
        dtypes = {raster.dtype for role, raster in job.run.images.items() if role != "mask"}
        self._exact = dtypes != {"u8"}
        self._levels = LEVELS["u16"] if dtypes <= set(LEVELS) else 0
        self._leases = contextlib.ExitStack()
        self._span = (0.0, 1.0)

    def __enter__(self) -> ModelJob:
        return self

    def __exit__(self, *error: object) -> None:
        self._leases.close()

    def begin(self, gray: bool | None) -> None:
        """A picture, or a piece of one, begins its way through the operation."""
        self.gray = gray
        self._calls = 0

    def captured(self, call: int, run: Callable[[], object]) -> Image:
        """The picture that the operation gives to its `call`-th model, counted from 0, when it is run."""
        before = self.gray, self._calls, self.watch, self.tiles, self.cached
        self._capture, self.watch = call, None
        try:
            run()
        except _Captured as stop:
            return stop.image
        finally:
            self._capture = None
            self.gray, self._calls, self.watch, self.tiles, self.cached = before
        raise RuntimeError(f"{self.run.operation} applies fewer than {call + 1} models")

    def check(self) -> None:
        """Raises JobCancelled if the user asked to stop."""
        self._job.check()

    @property
    def enough(self) -> bool:
        """Whether the user is content with what there is."""
        return self._job.enough()

    def show(self, part: Raster, pixels: memoryview, whole: Raster) -> None:
        """Send a finished part of the result to who asked for the job."""
        self._job.show(part, whole, pixels)

    def progress(self, fraction: float, stage: str = "") -> None:
        """Report how far the part at hand is, 0..1, and stop here if the user asked to."""
        if self._capture is not None:
            self.check()
            return
        start, stop = self._span
        self._job.progress(start + (stop - start) * fraction, stage)

    @contextlib.contextmanager
    def part(self, start: float, stop: float) -> Iterator[None]:
        """Within the `with` block, progress 0..1 means `start`..`stop` of the part around it."""
        before = self._span
        width = before[1] - before[0]
        self._span = (before[0] + width * start, before[0] + width * stop)
        try:
            yield
        finally:
            self._span = before

    def card(self, model: str) -> ModelCard:
        return self._catalogue.get(model)

    def apply(self, model: str, variant: str, image: Image, stage: str = "", shown: Shown | None = None) -> Image:
        """The picture through a model, in tiles. (1, C, H, W) -> (1, C, scale * H, scale * W), cut to 0..1

        shown : makes of a tile, before and after the model, what it looks like in the result; None while the result is
            still far
        """
        call, self._calls = self._calls, self._calls + 1
        if call == self._capture:
            raise _Captured(image)
        card = self.card(model)
        if variant not in card.weights:
            raise BadRequest.field(f"variant of {model}", variant, ", ".join(repr(each) for each in card.weights))
        if not card.tiled:
            raise TypeError(f"{model} takes whole pictures: {self.run.operation} has to call it itself")
        self.progress(0.0, stage if (model, variant) in self.used else "loading")
        self.used.setdefault((model, variant), card)
        first = self._lease(card, variant)
        side = room.side(first.network, card.receptive_field, first.runtime.free_bytes())
        rung = ladder.Rung(side, HELD_BYTES)

        def attempt(rung: ladder.Rung) -> Image:
            leased = self._lease(card, variant, plain=True) if rung.plain else first
            return self._through(leased, card, variant, image, stage, shown, rung, call)

        return ladder.climb(attempt, rung, first.runtime.id == PLAIN, self.run.job, self.retries.append)

    def note(self, model: str) -> None:
        """For the report: the method that was used, where it has no weights."""
        self.used.setdefault((model, ""), self.card(model))

    def whole(self, model: str, side: int, attempt: Callable[[WholeNetwork, int], Image]) -> Image:
        """What `attempt` makes with a model that takes whole pictures; again with a smaller one if that fails.

        side : pixels of the picture's longer side, for the first attempt, 0 leaves it to the network
        attempt : (network, side) -> picture; raises `known.Unusable` if it is none
        """
        card = self.card(model)
        self.progress(0.0, "loading")
        leased = self._lease(card, "", plain=True)
        self.used.setdefault((model, ""), card)
        self.runtime, self.device = leased.runtime.id, leased.runtime.device
        network = leased.network
        assert isinstance(network, WholeNetwork)
        first = ladder.Rung(side or getattr(network, "working_side", 0), 0)

        def at_rung(rung: ladder.Rung) -> Image:
            return attempt(network, rung.side)

        return ladder.climb(at_rung, first, True, self.run.job, self.retries.append)

    def _lease(self, card: ModelCard, variant: str, plain: bool = False) -> Leased:
        seconds = self.run.keep_alive_seconds
        return self._leases.enter_context(self._pool.lease(card, variant, seconds, self._exact, plain, self.check))

    def _through(
        self, leased: Leased, card: ModelCard, variant: str, image: Image, stage: str, shown: Shown | None,
        rung: ladder.Rung, call: int,
    ) -> Image:  # fmt: skip
        height, width = image.shape[-2:]
        view = self.view and (self.view[0] * height, self.view[1] * width, self.view[2] * height, self.view[3] * width)
        known = Known(self._cache, f"{card.weights[variant].sha256} {leased.runtime.id}", self._levels)
        passage = Passage(
            leased.network, card, lambda fraction: self.progress(fraction, stage), self.wrap, rung.side, view, known,
            rung.held_bytes, flats=self._flats(leased, card, variant),
        )  # fmt: skip
        if self.survey is not None and isinstance(leased.network, PoolingNetwork):
            with self.part(0.0, SURVEY_SHARE):
                passage = replace(passage, means=self.survey.means(self, call, leased.network, passage))
        result, tiles = enlarge(image, passage, self._finished(image, shown))
        self.tiles += tiles
        self.cached += known.hits
        self.runtime, self.device = leased.runtime.id, leased.runtime.device
        return result

    def _flats(self, leased: Leased, card: ModelCard, variant: str) -> Flats | None:
        if leased.runtime.exact or isinstance(leased.network, StagedNetwork):
            return None
        return Flats(lambda: self._lease(card, variant, plain=True).network, card)

    def _finished(self, image: Image, shown: Shown | None) -> Finished | None:
        """What to do with each tile of a picture that goes through a model."""
        watch = self.watch
        if shown is None or watch is None:
            return None
        height, width = image.shape[-2:]

        def finished(tile: Tile, after: Image) -> None:
            rows, columns = slice(tile.top, tile.top + tile.height), slice(tile.left, tile.left + tile.width)
            watch(shown(image[:, :, rows, columns], after), tile, (height, width))

        return finished
