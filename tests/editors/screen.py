"""A person in front of a virtual screen: looks for windows, presses keys, clicks, takes pictures.

There is no window manager, so windows lie where they opened and a key goes nowhere unless its window has the focus.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@contextmanager
def virtual_screen(width: int = 1600, height: int = 1000) -> Iterator[str]:
    """The name of a new screen of our own, like ":7", that ends with the block."""
    read_end, write_end = os.pipe()
    # Without -noreset the server starts over when its last client leaves, and refuses the next one for that moment.
    command = ["Xvfb", "-displayfd", str(write_end), "-noreset", "-nolisten", "tcp"]
    command += ["-screen", "0", f"{width}x{height}x24"]
    server = subprocess.Popen(command, pass_fds=[write_end], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write_end)
    try:
        with os.fdopen(read_end) as answer:
            number = answer.readline().strip()  # written once the server takes connections
        assert number, f"Xvfb ended with {server.wait(10)}"
        yield f":{number}"
    finally:
        server.terminate()
        server.wait(10)


@dataclass(frozen=True)
class Screen:
    """The screen of that name, like ":7"."""

    display: str

    def windows(self, title: str) -> list[str]:
        """Visible windows whose title matches the pattern, oldest first."""
        return self._xdotool("search", "--onlyvisible", "--name", title, check=False).split()

    def wait_for(self, title: str, seconds: float = 30.0) -> str:
        """The newest window of that title, once there is one."""
        end = time.monotonic() + seconds
        while not (found := self.windows(title)):
            assert time.monotonic() < end, f"no window {title!r} within {seconds} s"
            time.sleep(0.1)
        return found[-1]

    def wait_gone(self, window: str, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while window in self.windows("."):
            assert time.monotonic() < end, f"window {window} still there after {seconds} s"
            time.sleep(0.1)

    def place(self, window: str, x: int, y: int, width: int = 0, height: int = 0) -> None:
        self._xdotool("windowmove", window, str(x), str(y))
        if width:
            self._xdotool("windowsize", window, str(width), str(height))
        self._xdotool("windowraise", window)
        time.sleep(0.5)

    def press(self, window: str, *keys: str) -> None:
        """Press keys one after another in the window; "ctrl+z" is one key."""
        self._xdotool("windowfocus", window)
        time.sleep(0.3)
        for key in keys:
            self._xdotool("key", key)
            time.sleep(0.15)

    def type(self, text: str) -> None:
        self._xdotool("type", text)
        time.sleep(0.15)

    def click(self, x: int, y: int) -> None:
        self._xdotool("mousemove", str(x), str(y), "click", "1")
        time.sleep(0.4)

    def hover(self, x: int, y: int) -> None:
        self._xdotool("mousemove", str(x), str(y))
        time.sleep(0.4)

    def picture(self, path: Path, *convert: str) -> Path:
        """All of the screen as an image file; `convert` are ImageMagick's options on the way."""
        command = ["import", "-display", self.display, "-window", "root", *convert, str(path)]
        subprocess.run(command, check=True, timeout=30)
        return path

    def _xdotool(self, *arguments: str, check: bool = True) -> str:
        environment = {**os.environ, "DISPLAY": self.display}
        done = subprocess.run(["xdotool", *arguments], env=environment, capture_output=True, text=True, timeout=30)
        assert not check or done.returncode == 0, f"xdotool {' '.join(arguments)}: {done.stderr}"
        return done.stdout
