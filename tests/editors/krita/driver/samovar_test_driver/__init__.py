"""A plug-in for tests only: runs a scenario inside a full Krita and leaves what it found in a JSON file.

SAMOVAR_SCENARIO names a Python file with a generator `scenario(test)`, which yields how many milliseconds to wait. A
generator and timers, because a nested event loop upsets Krita's layer tree. SAMOVAR_FACTS names the JSON file:
`finished` is true only if the scenario came to its end, so that a crash or a time-out cannot be read as a pass.
"""

from __future__ import annotations

import faulthandler
import json
import os
import runpy
import sys
import time
import traceback

from krita import Extension, Krita
from PyQt5.QtCore import QTimer

START_MILLISECONDS = 1500


def waited_for_processor():
    """Seconds that this thread stood ready to run while others had the processors."""
    with open("/proc/thread-self/schedstat") as file:
        return int(file.read().split()[1]) / 1e9


class Gaps:
    """Longest time between two ticks of a 10 ms timer on the GUI thread, by phase: [by the clock, of its own making].

    The latter is without the time in which the thread was ready but other programs had the processors.
    """

    def __init__(self):
        self.phase = lambda: ""
        self.longest = {}
        self._timer = QTimer()
        self._timer.setInterval(10)
        self._timer.timeout.connect(self._tick)
        self._phase_then = ""
        self._mark()

    def start(self, phase):
        """phase : called at each tick; a gap is booked under what it said before and after"""
        self.phase, self.longest, self._phase_then = phase, {}, phase()
        self._mark()
        self._timer.start()

    def stop(self):
        self._tick()
        self._timer.stop()
        return {name: [round(1000 * seconds, 1) for seconds in pair] for name, pair in self.longest.items()}

    def _mark(self):
        self._last, self._waited = time.perf_counter(), waited_for_processor()

    def _tick(self):
        last, waited = self._last, self._waited
        self._mark()
        wall, phase = self._last - last, self.phase()
        own = wall - (self._waited - waited)
        name = self._phase_then if phase == self._phase_then else f"{self._phase_then} > {phase}"
        most = self.longest.get(name, (0.0, 0.0))
        self.longest[name] = max(most[0], wall), max(most[1], own)
        self._phase_then = phase


class Test:
    """What a scenario works with. `facts` is what the test outside gets to see."""

    def __init__(self):
        self.krita = Krita.instance()
        self.folder = os.path.dirname(os.environ["SAMOVAR_FACTS"])
        self.facts = {"krita": self.krita.version(), "python": sys.version.split()[0]}
        self.gaps = Gaps()

    def document(self, width, height, model="RGBA", depth="U8", profile="sRGB-elle-V2-srgbtrc.icc"):
        """A new picture in a window of its own."""
        document = self.krita.createDocument(width, height, "picture", model, depth, profile, 72.0)
        document.setBatchmode(True)
        self.krita.activeWindow().addView(document)
        return document

    def until(self, condition, seconds):
        """Wait until the condition holds; `yield from` it. Returns the seconds it took, None if it never held."""
        began = time.perf_counter()
        while not condition():
            if time.perf_counter() - began > seconds:
                return None
            yield 10
        return time.perf_counter() - began

    def save(self, name, pixels):
        with open(os.path.join(self.folder, name), "wb") as file:
            file.write(bytes(pixels))

    def screenshot(self, name):
        window = (
            self.krita.activeWindow().qwindow()
        )  # not its grab(): painting the canvas anew crashes Krita 5.2 at times
        window.screen().grabWindow(int(window.winId())).save(os.path.join(self.folder, name))

    def keep(self, error=""):
        """Write the facts. A scenario that lets Krita end by itself has to do that before."""
        self.facts.update(finished=not error, error=error)
        with open(os.environ["SAMOVAR_FACTS"], "w") as file:
            json.dump(self.facts, file)

    def leave(self, error=""):
        self.keep(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0 if not error else 1)  # a normal end would ask about unsaved pictures


def drive(test, steps):
    def step():
        try:
            milliseconds = next(steps)
        except StopIteration:
            test.leave()
        except BaseException:
            test.leave(traceback.format_exc())
        QTimer.singleShot(milliseconds, step)

    step()


class Driver(Extension):
    def setup(self):
        QTimer.singleShot(START_MILLISECONDS, self.begin)

    def begin(self):
        test = Test()
        try:
            scenario = runpy.run_path(os.environ["SAMOVAR_SCENARIO"])["scenario"]
            drive(test, scenario(test))
        except BaseException:
            test.leave(traceback.format_exc())

    def createActions(self, window):
        pass


faulthandler.enable()
if os.environ.get("SAMOVAR_SCENARIO"):
    Krita.instance().addExtension(Driver(Krita.instance()))
