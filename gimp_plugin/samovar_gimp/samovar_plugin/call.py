"""One call of one procedure, from the dialog to the new layer.

The process lives for this call alone, so it may wait while the daemon works. Where there is a window of our own,
finished parts show in the image meanwhile, and Cancel takes them out again. Where there is only GIMP's status bar, its
Cancel kills this process outright, without a word to anybody: the job then ends in the daemon, when its lease is no
longer renewed by this client's heartbeats, and the image is as it was, because nothing changes there before the result
is here.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from dataclasses import dataclass, replace

from gi.repository import Gegl, Gimp

from samovar_link import Done, Progress, Run, request, words
from samovar_link.messages import BATCH, OperationInfo, Report, Value

from . import arguments, creating, job, live, offer, outcome
from .meter import Meter, StatusBar, Stopped
from .placing import OWN, Placing, place, place_apart, place_in_copy
from .source import Source, Unsuitable, changed, choose, hole
from .warming import Warming


@dataclass(frozen=True)
class Call:
    """What GIMP runs. `version` is this plug-in's, for the daemon's log."""

    operation: OperationInfo
    version: str

    def run(
        self, procedure: Gimp.Procedure, run_mode: Gimp.RunMode, image: Gimp.Image, drawables: list[Gimp.Drawable],
        config: Gimp.ProcedureConfig, _data: object,
    ) -> Gimp.ValueArray:  # fmt: skip
        """What GIMP calls."""
        return outcome.told(procedure, lambda: self._run(procedure, run_mode, image, drawables, config))

    def _run(
        self, procedure: Gimp.Procedure, run_mode: Gimp.RunMode, image: Gimp.Image, drawables: list[Gimp.Drawable],
        config: Gimp.ProcedureConfig,
    ) -> Gimp.PDBStatusType:  # fmt: skip
        Gegl.init(None)
        if run_mode == Gimp.RunMode.INTERACTIVE:
            self._check(image, drawables)  # what is unsuitable is told before the dialog, not after
            from .dialog import ask  # needs a screen: without one its import fails

            with Warming(self.version, self.operation.id, lambda: self._sent(config)):
                wanted = ask(procedure, config, self.operation, lambda: self._foretell(image, drawables, config))
            if not wanted:
                return Gimp.PDBStatusType.CANCEL
        if self.operation.creates:
            return self._create(creating.choose(image, drawables), arguments.values(config, self.operation), run_mode)
        source = self._source(image, drawables, config)
        with self._meter(run_mode) as meter:
            self._fetch_missing(arguments.values(config, self.operation), meter)
            return self._carry_out(source, config, meter)

    def _check(self, image: Gimp.Image, drawables: list[Gimp.Drawable]) -> None:
        """Raises Unsuitable if it cannot be done whatever is set."""
        if self.operation.creates:
            creating.choose(image, drawables)
        elif not arguments.has_scope(self.operation):
            hole(image, drawables, {})
        else:
            choose(image, drawables, arguments.LAYER)

    def _source(self, image: Gimp.Image, drawables: list[Gimp.Drawable], config: Gimp.ProcedureConfig) -> Source:
        parameters = arguments.values(config, self.operation)
        if request.fills(self.operation, parameters):
            return hole(image, drawables, parameters)
        scope = arguments.scope(config, self.operation)
        return choose(image, drawables, scope, self._sees_around(parameters), self.operation.whole)

    def _sent(self, config: Gimp.ProcedureConfig) -> dict[str, Value]:
        """The parameters as they travel."""
        return request.own_parameters(arguments.values(config, self.operation))

    def _fetch_missing(self, parameters: dict[str, Value], meter: Meter) -> None:
        """Have the model that is asked for, if the user agrees to fetch it."""
        if offer.missing(offer.read(), self.operation, parameters) is None:
            return
        with job.reach(self.version, meter) as client:  # which knows better
            assert client.welcome is not None
            model = offer.missing(client.welcome, self.operation, parameters)
        if model is None:
            return
        if not meter.agrees(words.question(model), "_Fetch and Run"):
            if meter.outlives_cancel:
                raise Stopped
            raise Unsuitable(f"{model.id} is not here yet; fetch it with: samovar models pull {model.id}")
        with job.reach(self.version, meter) as client:
            job.fetch(client, model, meter)

    def _meter(self, run_mode: Gimp.RunMode) -> Meter:
        seen = run_mode == Gimp.RunMode.WITH_LAST_VALS and Gimp.default_display() is not None
        if run_mode != Gimp.RunMode.INTERACTIVE and not seen:
            return StatusBar(self.operation.title)
        from .window import Window  # needs a screen

        return Window(self.operation.title, live=self.operation.live)

    def _carry_out(self, source: Source, config: Gimp.ProcedureConfig, meter: Meter) -> Gimp.PDBStatusType:
        parameters = arguments.values(config, self.operation)
        if request.fills(self.operation, parameters):
            return self._fill(source, parameters, meter)
        if request.samples(self.operation, parameters):
            return self._grow(source, parameters, meter)
        scope, resizes = arguments.scope(config, self.operation), request.resizes(self.operation, parameters)
        laid = request.blend(self.operation, parameters)
        covers = resizes or bool(laid) or source.hides_what_is_below
        if not covers and source.layer.get_lock_visibility():
            raise Unsuitable("The layer has to be hidden behind the result; unlock its visibility first.")
        blend = source.selected and not covers and self._takes_mask(parameters)
        # Now: the user may go on with another selection. What comes back blended is so by the selection already.
        mask = source.layer_mask() if blend else source.mask()
        guide = arguments.guide(config, self.operation)
        if guide is not None and guide[1].get_id() == source.layer.get_id():
            raise Unsuitable("The strokes are on the layer itself; draw them on a layer of their own, above it.")
        with ExitStack() as stack:
            shown = None
            if meter.outlives_cancel and scope != arguments.IMAGE and live.shows(source):
                factor = float(parameters.get(arguments.FACTOR, 1.0)) if resizes else 1.0
                shown = stack.enter_context(self._live(source, scope, factor, mask))
            result = self._work(source, parameters, source.selection() if blend else None, meter, shown, guide)
            if result is None:
                return Gimp.PDBStatusType.CANCEL
            if shown is not None:
                shown.end()
            done, frames = result
            raster = done.images["image"]
            pixels = frames[raster.frame]
            name = _layer_name(self.operation.title, done.report)
            if blend:
                place_in_copy(source, raster, [pixels], name)
            else:
                factor = float(parameters.get(arguments.FACTOR, raster.width / source.area.width)) if resizes else 1.0
                hide = scope != arguments.SELECTION if resizes else not covers
                place(source, raster, pixels, Placing(scope, name, factor, hide, mask, blend=laid))
        Gimp.displays_flush()
        return Gimp.PDBStatusType.SUCCESS

    def _live(self, source: Source, scope: str, factor: float, mask: bytes | None) -> live.Live:
        return live.Live(source, f"{self.operation.title}…", scope, factor, mask, improves=self.operation.live)

    def _fill(self, source: Source, parameters: dict[str, Value], meter: Meter) -> Gimp.PDBStatusType:
        """Make anew what is selected: patches above the layer, or copies of one that does not hide what is below."""
        covers = source.hides_what_is_below
        if not covers and source.layer.get_lock_visibility():
            raise Unsuitable("The layer has to be hidden behind the result; unlock its visibility first.")
        with ExitStack() as stack:
            shown = None
            if self.operation.live and meter.outlives_cancel and live.shows(source):
                shown = stack.enter_context(self._live(source, arguments.SELECTION, 1.0, source.layer_mask()))
            result = self._work(source, parameters, source.selection(), meter, shown)
            if result is None:
                return Gimp.PDBStatusType.CANCEL
            if shown is not None:
                shown.end()
            done, frames = result
            raster, name = done.images["image"], _layer_name(self.operation.title, done.report)
            results = [frames[each.frame] for role, each in done.images.items() if role != request.MASK]
            if covers:
                mask = changed(frames[done.images[request.MASK].frame])
                place_apart(source, raster, results, name, arguments.LAYER, mask)
            else:
                place_in_copy(source, raster, results, name)
        Gimp.displays_flush()
        return Gimp.PDBStatusType.SUCCESS

    def _grow(self, source: Source, parameters: dict[str, Value], meter: Meter) -> Gimp.PDBStatusType:
        """Make something new from what is selected: layers of their own, from the layer's corner on."""
        with ExitStack() as stack:
            shown = None
            if self.operation.live and meter.outlives_cancel and live.shows(source):
                shown = stack.enter_context(self._live(source, OWN, 1.0, None))
            # What a layer mask hides is no more part of the sample than what is not selected.
            result = self._work(source, parameters, source.mask(), meter, shown)
            if result is None:
                return Gimp.PDBStatusType.CANCEL
            if shown is not None:
                shown.end()
            done, frames = result
            raster, name = done.images["image"], _layer_name(self.operation.title, done.report)
            place_apart(source, raster, [frames[each.frame] for each in done.images.values()], name, OWN)
        Gimp.displays_flush()
        return Gimp.PDBStatusType.SUCCESS

    def _create(
        self, at: creating.Place, parameters: dict[str, Value], run_mode: Gimp.RunMode
    ) -> Gimp.PDBStatusType:  # fmt: skip
        """Make something out of nothing: a layer above the active one, or a group of them."""
        columns, rows, side = request.sheet(self.operation, parameters)
        raster = at.raster(columns * side, rows * side)
        with self._meter(run_mode) as meter:
            self._fetch_missing(parameters, meter)
            run = Run(
                secrets.token_hex(16), self.operation.id, parameters=request.own_parameters(parameters),
                seed=request.seed(parameters), images={"image": raster},
            )  # fmt: skip
            with job.reach(self.version, meter) as client:
                ended = job.work(client, run, [bytes(raster.size_bytes)], meter, lambda *_: at.must_exist())
            if ended is None:
                return Gimp.PDBStatusType.CANCEL
            at.must_exist()
            done, frames = ended
            rasters, first = list(done.images.values()), max(0, int(parameters.get("only", 0)) - 1)
            titles = [request.face(self.operation, parameters, first + index) for index in range(len(rasters))]
            if len(rasters) == 1 < columns * rows:
                titles = [self.operation.title]
            made = [
                creating.Made(_layer_name(title, done.report), each, frames[each.frame])
                for title, each in zip(titles, rasters, strict=True)
            ]
            creating.place(at, made, _layer_name(self.operation.title, done.report))
        Gimp.displays_flush()
        return Gimp.PDBStatusType.SUCCESS

    def _takes_mask(self, parameters: dict[str, Value]) -> bool:
        return request.MASK in self.operation.optional_roles and not request.resizes(self.operation, parameters)

    def _sees_around(self, parameters: dict[str, Value]) -> bool:
        """Whether it computes a region: all do but what grows from a sample alone, and those that only pass on what
        they got, which take no mask either."""
        if request.samples(self.operation, parameters):
            return False
        return request.resizes(self.operation, parameters) or self._takes_mask(parameters)

    def _foretell(self, image: Gimp.Image, drawables: list[Gimp.Drawable], config: Gimp.ProcedureConfig) -> str:
        """One line for the dialog: the size now and then, or why it cannot be done."""
        parameters = arguments.values(config, self.operation)
        if self.operation.creates:
            return _foretell_sheet(self.operation, parameters)
        scope = arguments.scope(config, self.operation)
        try:
            source = self._source(image, drawables, config)
        except Unsuitable as error:
            return str(error)
        area = source.area
        if request.fills(self.operation, parameters):
            seen = source.seen
            return f"At most {area.width} × {area.height} pixels change, {seen.width} × {seen.height} are seen"
        if not request.resizes(self.operation, parameters):
            part = "What is selected of the layer" if source.selected else "The whole layer"
            return f"{part}: {area.width} × {area.height} pixels"
        if request.samples(self.operation, parameters):
            width, height = request.grown_size(parameters, area.width, area.height)
            return f"Sample of {area.width} × {area.height} pixels, a layer of {width} × {height}"
        factor = parameters.get(arguments.FACTOR, 1.0)
        whole = scope == arguments.IMAGE
        size = (image.get_width(), image.get_height()) if whole else (area.width, area.height)
        width, height = (arguments.scaled(side, float(factor)) for side in size)
        return f"{size[0]} × {size[1]} to {width} × {height} pixels"

    def _work(
        self, source: Source, parameters: dict[str, Value], mask: bytes | None, meter: Meter, shown: live.Live | None,
        guide: tuple[str, Gimp.Layer] | None = None,
    ) -> tuple[Done, list[memoryview]] | None:  # fmt: skip
        """Let the daemon work; None if somebody cancelled the job there.

        mask : of the source's area, as it goes along: what is to be mixed with the layer's own pixels, to be filled,
            or to be taken as a sample
        shown : where finished parts are shown
        guide : role and layer of strokes
        """

        def progressed(progress: Progress, images: list[memoryview]) -> None:
            source.must_exist()
            if shown is not None:
                shown.show(progress, images)

        with job.reach(self.version, meter) as client:
            meter.say("reading the layer")
            raster, pixels = source.read()
            images, frames = {"image": raster}, [pixels]
            if mask is not None:
                images[request.MASK] = source.mask_raster
                frames.append(mask)
            if guide is not None:
                drawn, strokes = source.drawn(guide[1])
                images[guide[0]] = replace(drawn, frame=len(frames))
                frames.append(strokes)
            if request.samples(self.operation, parameters):
                # The result lies where the sample says it does: that is to be the layer's corner, also for who takes
                # the job up some day.
                x, y = source.layer_corner
                images = {role: replace(each, x=x, y=y) for role, each in images.items()}
            wrap_x, wrap_y = request.wraps(self.operation, parameters)
            run = Run(
                secrets.token_hex(16), self.operation.id, parameters=request.own_parameters(parameters),
                seed=request.seed(parameters), images=images, region=source.region, wrap_x=wrap_x, wrap_y=wrap_y,
                stream=shown is not None, viewport=None if shown is None else shown.on_canvas,
            )  # fmt: skip
            if self.operation.live:  # who has no window of ours can only be killed, and then means it
                run = replace(run, priority=BATCH, keep_result=meter.outlives_cancel)
            ended = job.work(client, run, frames, meter, progressed)
        if ended is None:
            return None
        source.must_exist()
        return ended


def _layer_name(title: str, report: Report) -> str:
    return f"{title} ({report.model})" if report.model else title


def _foretell_sheet(operation: OperationInfo, parameters: dict[str, Value]) -> str:
    columns, rows, side = request.sheet(operation, parameters)
    count, only = int(parameters.get("count", 1)), int(parameters.get("only", 0))
    if only > count:
        return f"There are {count}, so none has the number {only}"
    if parameters.get("result") == "each" and columns * rows > 1:
        return f"{count} layers of {side} × {side} pixels"
    return f"A layer of {columns * side} × {rows * side} pixels"
