"""Makes the Debian 13 root in which newer editors run: GIMP 3 and Krita 5.2 beside an older system.

    python tests/editors/debian_root.py          make it, or find it made, and print where it is

Rules:
1. One folder, `~/.cache/samovar-editors/trixie`, or what SAMOVAR_EDITOR_ROOT names; the latter is used as it is.
2. The root carries the key (suite and packages) it was made from. Another key means: make it again.
3. It is built beside its place and renamed, under a lock, so that a half-made root is never seen.
4. Nothing is ever mounted into it from here: what an editor needs at run time is mounted in a mount namespace of that
   editor's own (`enter`), which ends with it. So deleting a root cannot reach through a mount.
5. The mirror is the one this machine's own apt uses, or SAMOVAR_DEBIAN_MIRROR.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SUITE = "trixie"
PACKAGES = (
    "adwaita-icon-theme",
    "fonts-dejavu-core",
    "gimp",
    "gir1.2-gimp-3.0",
    "krita",
    "librsvg2-common",
    "python3-gi",
    "python3-pyqt5",
)
STAMP = ".samovar-editor-root"
HOW_TO = "as root: apt-get install mmdebstrap debian-archive-keyring && python tests/editors/debian_root.py"

_NOT_NEEDED = ("doc", "man", "locale", "info")


class NoRoot(Exception):
    """There is no root and none can be made; the message is one sentence that says what to do."""


def place() -> Path:
    """Where the root is, made or not."""
    if override := os.environ.get("SAMOVAR_EDITOR_ROOT"):
        return Path(override)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "samovar-editors" / SUITE


def key() -> str:
    """Tells apart roots of different content."""
    return hashlib.sha256("\n".join((SUITE, *sorted(PACKAGES))).encode()).hexdigest()[:16]


def find() -> Path | None:
    """The root, if it is there and of the right key."""
    root = place()
    if os.environ.get("SAMOVAR_EDITOR_ROOT"):
        return root if (root / "usr").is_dir() else None
    stamp = root / STAMP
    return root if stamp.is_file() and stamp.read_text().strip() == key() else None


def ensure() -> Path:
    """The root, made if need be. Raises NoRoot."""
    if (root := find()) is not None:
        return root
    if os.environ.get("SAMOVAR_EDITOR_ROOT"):
        raise NoRoot(f"SAMOVAR_EDITOR_ROOT names {place()}, which holds no root; unset it to have one made.")
    if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        raise NoRoot(f"No Debian root with GIMP 3 and Krita at {place()}; make one {HOW_TO}")
    place().parent.mkdir(parents=True, exist_ok=True)
    with open(place().with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be making it: wait for that one
        return find() or _make(place())


def enter(root: Path, command: Sequence[str], environment: Mapping[str, str], binds: Sequence[Path] = ()) -> list[str]:
    """The argv that runs `command` inside the root, with /proc, /dev and a fresh /tmp that nothing else sees.

    environment : all of it, nothing is inherited
    binds : folders of this machine that appear under the same path inside; they must lie below /tmp

    The mounts live in a mount namespace of the process started, which keeps its pid through all the steps: killing it
    kills the editor, and nothing is left to unmount.
    """
    steps = ["set -e"]
    for source in ("/proc", "/dev"):
        steps.append(f"mount --rbind {source} {shlex.quote(str(root))}{source}")
    steps.append(f"mount -t tmpfs -o mode=1777 tmpfs {shlex.quote(str(root))}/tmp")
    for bind in binds:
        inside = shlex.quote(f"{root}{bind}")
        steps.append(f"mkdir -p {inside} && mount --bind {shlex.quote(str(bind))} {inside}")
    assignments = [f"{name}={value}" for name, value in environment.items()]
    steps.append("exec " + shlex.join(["chroot", str(root), "env", "-i", *assignments, *command]))
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(steps)]


def unusable(root: Path) -> str:
    """Why editors cannot be started in the root, in a few words; "" if they can."""
    if os.geteuid() != 0:
        return f"editors in {root} can only be started by root"
    try:
        trial = subprocess.run(enter(root, ["true"], {}), capture_output=True, text=True, timeout=30)
    except OSError as error:
        return f"editors in {root} cannot be started ({error})"
    return "" if trial.returncode == 0 else f"editors in {root} cannot be started ({trial.stderr.strip()})"


def _make(root: Path) -> Path:
    partial = root.with_name(f"{root.name}.partial")
    _remove(partial)
    began = time.monotonic()
    command = [
        "mmdebstrap", "--variant=apt", "--mode=root", "--include=" + ",".join(PACKAGES),
        '--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Check-Valid-Until "false"', '--aptopt=Acquire::Retries "5"',
        *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _NOT_NEEDED),
        SUITE, str(partial), _mirror(),
    ]  # fmt: skip
    print(f"making a Debian {SUITE} root at {root}, a few minutes and 2 GB", file=sys.stderr, flush=True)
    if status := subprocess.run(command, stdout=sys.stderr).returncode:
        _remove(partial)
        raise NoRoot(f"mmdebstrap ended with {status}; its last lines above say why.")
    for archive in (partial / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    (partial / STAMP).write_text(key() + "\n")
    _remove(root)
    partial.rename(root)
    print(f"made in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return root


def _mirror() -> str:
    """Address of the Debian archive that apt on this machine uses. Raises NoRoot."""
    if override := os.environ.get("SAMOVAR_DEBIAN_MIRROR"):
        return override
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(RELEASE) $(SITE)", "Created-By: Packages"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    for line in sorted(listing.stdout.splitlines()):
        origin, release, site = line.split(" ", 2)
        if origin == "Debian" and "security" not in release:
            return site
    raise NoRoot("apt's sources name no Debian archive; run apt-get update, or set SAMOVAR_DEBIAN_MIRROR to one.")


def _remove(folder: Path) -> None:
    """Delete a root. Refuses while something is mounted in it, by whatever means: a mounted /dev would go too."""
    if not folder.exists():
        return
    below = f"{folder.resolve()}/"
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    if held := [point for point in mounted if f"{point}/".startswith(below)]:
        raise NoRoot(f"Something is mounted at {held[0]}; unmount it, then try again.")
    shutil.rmtree(folder)


if __name__ == "__main__":
    try:
        print(ensure())
    except NoRoot as error:
        sys.exit(str(error))
