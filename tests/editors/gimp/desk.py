"""GIMP's window on a screen, with somebody in front of it."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from remote_gimp import RemoteGimp
from screen import Screen

SIZE = (1600, 1000)
ENHANCE_FROM_BELOW, RENDER_FROM_BELOW = 14, 4
"""Places in the menu Filters."""
STATUS_BAR_CANCEL = (1320, 982)
"""The button in the status bar of a window of that size, while a plug-in works."""
FROM_BELOW = {"denoise": 8, "doctor": 7, "identity": 6, "jobs": 5, "inpaint": 4, "restore": 3, "upscale": 2}
"""Place of each operation in the menu, counted from below: above there is now and then one more."""
RENDERS = {"faces": 3, "texture": 2}
"""Likewise, of those in Render."""


class Desk:
    """GIMP's window on a screen."""

    def __init__(self, gimp: RemoteGimp, screen: Screen) -> None:
        self.gimp, self.screen = gimp, screen
        self._last = ""
        self.window = screen.wait_for("GIMP$|GNU Image Manipulation")
        screen.place(self.window, 0, 0, *SIZE)

    def picture(self, width: int, height: int, opaque: bool = False) -> tuple[int, int]:
        """A new image in the window, unchanged so far, and its layer."""
        image = self.gimp.image(width, height)
        pixels = bytearray(random.Random(1).randbytes(width * height * 4))
        if opaque:
            pixels[3::4] = b"\xff" * (width * height)
        layer = self.gimp.layer(image, "RGBA_IMAGE", width, height, 0, 0, pixels.hex(), "R'G'B'A u8")
        self.gimp.clean(image)
        self.gimp.show(image)
        return image, layer

    def everything(self, image: int) -> tuple[Any, list[str]]:
        state = self.gimp.state(image)
        return state, [self.gimp.pixels(each["id"]) for each in state["layers"]]

    def press(self, *keys: str) -> None:
        self.screen.press(self.window, *keys)

    def choose_filter(self, operation: str, picture: Path | None = None) -> None:
        """Take that entry of Filters > Enhance, or Render."""
        menu = RENDER_FROM_BELOW if operation in RENDERS else ENHANCE_FROM_BELOW
        self.press("alt+r", *["Up"] * menu, "Right", *["Up"] * {**FROM_BELOW, **RENDERS}[operation])
        if picture is not None:
            self.screen.picture(picture)
        self.press("Return")
        self._last = operation

    def choose_colour(self, picture: Path | None = None) -> None:
        """Take the last but one entry of Colors, which is ours."""
        self.press("alt+c", "Up", "Up")
        if picture is not None:
            self.screen.picture(picture)
        self.press("Return")

    def work(self, operation: str, **arguments: Any) -> None:
        """Begin what the last values of that operation are then, by Repeat if it was the last one.

        A procedure that was called by a test would keep GIMP from answering that test meanwhile.
        """
        self.remember(operation, **arguments)
        if operation == self._last:
            self.press("ctrl+f")
            return
        self.choose_filter(operation)
        dialog = self.dialog("Samovar: ")
        self.screen.press(dialog, "alt+o")
        self.screen.wait_gone(dialog)

    def remember(self, operation: str, **arguments: Any) -> None:
        """Make these the last values of that operation, with which its dialog opens."""
        self._last_values.mkdir(exist_ok=True)
        lines = [f"({name} {json.dumps(value)})\n" for name, value in arguments.items()]
        (self._last_values / f"GimpProcedureConfigRun-plug-in-samovar-{operation}.last").write_text("".join(lines))

    def remembered(self, operation: str) -> str:
        """What the last values of that operation are now, as GIMP writes them."""
        return (self._last_values / f"GimpProcedureConfigRun-plug-in-samovar-{operation}.last").read_text()

    @property
    def _last_values(self) -> Path:
        return self.gimp.folder / "profile" / "plug-in-settings"

    def settle(self) -> None:
        """End what a failed test left, plug-ins and windows over GIMP's own, and forget the last values."""
        self.gimp.settle()
        for process in self.gimp.plugin_processes():
            process.kill()
        shutil.rmtree(self._last_values, ignore_errors=True)
        for window in self.screen.windows("GIMP Message|Samovar: "):
            self.screen.press(window, "Escape")

    def dialog(self, title: str) -> str:
        found = self.screen.wait_for(title)
        self.screen.place(found, 560, 320)
        return found
