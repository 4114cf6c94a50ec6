"""Starts Krita with the plug-in installed, in a home of its own, and reads back what a scenario found.

Two Kritas: the one of this system, and the newer one in the Debian 13 root, which is reached over tcp only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import debian_root

from samovar.install import install_krita
from samovar.install.krita import set_enabled

HERE = Path(__file__).parent
START_SECONDS = 240
"""A first start in an empty home builds the resource database: 10 to 80 s on a busy machine."""

SHORTCUT = "Ctrl+Alt+U"
"""Set for the upscale action as a user would in Krita's settings."""

RUNNER_MARK = "SAMOVAR-RUNNER "


class KritaFailed(AssertionError):
    """Krita or the scenario did not come to its end; the message holds all that is known."""


@dataclass
class Krita:
    """One Krita with a home.

    folder : below /tmp; holds the home and what scenarios write
    root : None for this system's Krita, else the root it lives in
    """

    folder: Path
    display: str
    root: Path | None = None

    def install(self) -> None:
        """The plug-in as a user gets it, and the driver beside it."""
        self.install_driver()
        install_krita(self.plugin.parent)
        set_enabled(self.home / ".config/kritarc", True)
        (self.home / ".config/kritashortcutsrc").write_text(f"[Shortcuts]\nsamovar_upscale={SHORTCUT}\n")

    def install_driver(self) -> None:
        """What plays scenarios, and nothing of ours that a user would have."""
        shutil.copytree(HERE / "driver", self.plugin.parent)
        kritarc = self.home / ".config/kritarc"
        kritarc.parent.mkdir(parents=True, exist_ok=True)
        kritarc.write_text("[python]\nenable_samovar_test_driver=true\n")

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def plugin(self) -> Path:
        return self.home / ".local/share/krita/pykrita/samovar_krita"

    def play(self, scenario: str, environment: Mapping[str, str], **arguments: str) -> Play:
        """Run `scenarios/SCENARIO.py` in the full Krita; `arguments` become variables of its environment."""
        work = self.folder / scenario
        work.mkdir(exist_ok=True)
        facts = work / "facts.json"
        facts.unlink(missing_ok=True)
        shutil.copy(HERE / "scenarios" / f"{scenario}.py", work / "scenario.py")
        output = self._run(
            ["krita", "--nosplash"],
            {**environment, **arguments, "SAMOVAR_SCENARIO": str(work / "scenario.py"), "SAMOVAR_FACTS": str(facts)},
        )
        if not facts.is_file():
            raise KritaFailed(f"Krita ended before the scenario did:\n{output[-6000:]}")
        found = json.loads(facts.read_text())
        if not found["finished"]:
            raise KritaFailed(f"{found['error']}\nfacts: {found}\noutput:\n{output[-3000:]}")
        return Play(work, found, output)

    def runner(self, module: Path) -> dict[str, Any]:
        """Run `main` of a module by kritarunner, without a window; it prints its facts on a line after RUNNER_MARK."""
        work = self.folder / module.stem
        work.mkdir(exist_ok=True)
        shutil.copy(module, work / module.name)
        pykrita = self.home / ".local/share/krita/pykrita"
        output = self._run(
            ["kritarunner", "-s", module.stem, "-f", "main"],
            {"QT_QPA_PLATFORM": "offscreen", "DISPLAY": "", "PYTHONPATH": f"{work}:{pykrita}"},
        )
        marks = [line[len(RUNNER_MARK) :] for line in output.splitlines() if line.startswith(RUNNER_MARK)]
        if not marks:
            raise KritaFailed(f"kritarunner printed no facts:\n{output[-6000:]}")
        found: dict[str, Any] = json.loads(marks[-1])
        return found

    def _run(self, command: list[str], environment: Mapping[str, str]) -> str:
        runtime = self.folder / "run"
        runtime.mkdir(mode=0o700, exist_ok=True)
        variables = {
            "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(self.home), "XDG_RUNTIME_DIR": str(runtime),
            "DISPLAY": self.display, **environment,
        }  # fmt: skip
        outside: Mapping[str, str] = variables
        if self.root is not None:
            command = debian_root.enter(self.root, command, variables, [self.folder])
            outside = os.environ
        log = self.folder / "output.txt"
        with log.open("w") as output:
            process = subprocess.Popen(
                command, env=outside, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
            try:
                process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
                raise KritaFailed(f"Krita hung:\n{log.read_text(errors='replace')[-6000:]}") from None
        return log.read_text(errors="replace")


@dataclass(frozen=True)
class Play:
    """What a scenario left."""

    folder: Path
    facts: dict[str, Any]
    output: str
