"""*Samovar: Jobs…*: what the daemon goes on with, or keeps, since a program was closed, taken up into an image.

The result becomes a layer above the chosen one, at the place that it had in the image it was made for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from gi.repository import Gegl, Gimp, GObject

from samovar_link import Client, request, words
from samovar_link.errors import UnknownJob
from samovar_link.messages import JobInfo, Progress, Status, StatusReport, Welcome

from . import arguments, job, offer, outcome
from .meter import Meter, StatusBar, Stopped
from .placing import OWN, place_apart
from .source import choose

NAME = f"{offer.PREFIX}jobs"
TITLE = "Samovar: Jobs…"
ANSWER_SECONDS = 10.0
NOTHING = "No job waits to be taken up."


def procedure(plugin: Gimp.PlugIn, welcome: Welcome) -> Gimp.Procedure:
    """For the menu; from scripts, `job` is the beginning of a job's name."""
    made = Gimp.ImageProcedure.new(plugin, NAME, Gimp.PDBProcType.PLUGIN, _Call(welcome).run, None)
    made.set_image_types("*")
    made.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
    made.set_menu_label(TITLE)
    made.add_menu_path("<Image>/Filters/Enhance")
    about = "Take up a job whose program was closed, and put its result above the layer"
    made.set_documentation(about, about, NAME)
    made.set_attribution("The Samovar developers", "The Samovar developers, MIT licence", "2026")
    help = "The beginning of its name, as `samovar jobs` shows it; nothing takes the newest"
    made.add_string_argument("job", "_Job", help, "", GObject.ParamFlags.READWRITE)
    return made


@dataclasses.dataclass(frozen=True)
class _Call:
    """welcome : what is known of operations, for their names"""

    welcome: Welcome

    def run(
        self, procedure: Gimp.Procedure, run_mode: Gimp.RunMode, image: Gimp.Image, drawables: list[Gimp.Drawable],
        config: Gimp.ProcedureConfig, _data: object,
    ) -> Gimp.ValueArray:  # fmt: skip
        """What GIMP calls."""
        return outcome.told(procedure, lambda: self._run(run_mode, image, drawables, str(config.get_property("job"))))

    def _run(
        self, run_mode: Gimp.RunMode, image: Gimp.Image, drawables: list[Gimp.Drawable], name: str
    ) -> Gimp.PDBStatusType:
        Gegl.init(None)
        source = choose(image, drawables, arguments.LAYER)
        seen = run_mode == Gimp.RunMode.INTERACTIVE
        with self._meter(seen) as meter, job.reach(self.welcome.version, meter) as client:
            found = [each for each in waiting(client) if each.job.startswith(name)]
            if not found:
                raise UnknownJob(NOTHING, "samovar jobs lists what others wait for")
            chosen = found[0] if not seen or len(found) == 1 else self._chosen(found)
            title = self._title(chosen)

            def progressed(progress: Progress, images: list[memoryview]) -> None:
                source.must_exist()

            ended = job.take_up(client, chosen.job, meter, progressed)
        if ended is None:
            return Gimp.PDBStatusType.CANCEL
        source.must_exist()
        done, frames = ended
        raster = done.images["image"]
        name = f"{title} ({done.report.model})" if done.report.model else title
        results = [frames[each.frame] for role, each in done.images.items() if role != request.MASK]
        place_apart(source, raster, results, name, OWN)
        Gimp.displays_flush()
        return Gimp.PDBStatusType.SUCCESS

    def _meter(self, seen: bool) -> Meter:
        if not seen:
            return StatusBar("Jobs")
        from .window import Window  # needs a screen

        return Window("Jobs", live=True)

    def _chosen(self, found: Sequence[JobInfo]) -> JobInfo:
        """Ask which. Raises Stopped."""
        from .window import choose_one

        index = choose_one("Samovar: Jobs", "Which job?", [words.job(each, self._title(each)) for each in found])
        if index is None:
            raise Stopped
        return found[index]

    def _title(self, info: JobInfo) -> str:
        titles = {each.id: each.title for each in self.welcome.operations}
        return titles.get(info.operation, info.operation)


def waiting(client: Client) -> list[JobInfo]:
    """Jobs that no program waits for, the newest first."""
    client.send(Status())
    while True:
        message, _ = client.receive(ANSWER_SECONDS)
        if isinstance(message, StatusReport):
            return sorted((each for each in message.jobs if each.orphan), key=lambda each: each.age_seconds)
