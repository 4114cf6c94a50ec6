"""Install the editors that the tests drive: Krita from this system's own packages, GIMP 3 and a newer Krita in a root
folder of their own (`debian_root.py`).

    python tests/editors/install.py

Needs Debian or Ubuntu and root. Where it cannot, it says so and ends well: the editor tests then skip and name what
they miss, except under CI=true, where a missing editor is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import debian_root

PACKAGES = [
    "krita", "python3-pyqt5", "xvfb", "xauth", "x11-utils", "xdotool", "imagemagick", "mmdebstrap",
    "fonts-dejavu-core", "debian-archive-keyring",
]  # fmt: skip
"""python3-pyqt5 is only recommended by krita, but without it Krita has no Python plug-ins."""

PROGRAMS = ("krita", "kritarunner", "Xvfb", "xdotool", "import", "mmdebstrap")


def main() -> int:
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing and (os.getuid() != 0 or shutil.which("apt-get") is None):
        print(f"No {', '.join(missing)} here; editor tests will skip. On Debian or Ubuntu, as root: make editors")
        return 0
    if missing:
        print("Installing", ", ".join(PACKAGES), flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "-qq", "update"], check=True, env=environment)
        install = ["apt-get", "-qq", "install", "-y", "--no-install-recommends", *PACKAGES]
        subprocess.run(install, check=True, env=environment, stdout=subprocess.DEVNULL)
    try:
        print("Debian root with newer editors:", debian_root.ensure())
    except debian_root.NoRoot as error:
        print(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
