"""`make demo`: draw a picture and upscale it; then its mirror image, and it again, each time from a new process. Shows
before and after, and prints the seconds.

    python docs/demo.py [FOLDER]          FOLDER defaults to demo/

Uses the installed `samovar` program as a user would. The daemon it starts goes on running, as it does for a user;
`samovar stop` ends it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import drawing
import pyvips

WIDTH = 192
SCALE = 4
MODEL = "waifu2x/cunet-art"
CLOSE_UP = (63, 66, 72, 54)
"""Part of the drawing shown enlarged, in its own pixels: left, top, width, height."""

STAGES = ("queue", "load", "transfer", "compute", "total")


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    source, result = folder / "drawing.png", folder / "drawing-4x.png"
    source.write_bytes(drawing.render(drawing.scene(), WIDTH))
    mirrored = folder / "drawing-mirrored.png"
    pyvips.Image.new_from_file(str(source)).fliphor().pngsave(str(mirrored))
    print(f"Upscaling {source} {SCALE}x with {MODEL}, its mirror image, and it again, each from a new process ...")
    sys.stdout.flush()
    runs = [upscale(each, result) for each in (source, mirrored, source)]
    before_after(source, result).pngsave(str(folder / "before-after.png"))
    print(table(runs))
    print(f"\nBefore and after: {folder / 'before-after.png'}")
    print("The daemon keeps the model warm. Try it on a picture of yours:")
    print(f"  {samovar()} upscale PICTURE.png -o LARGER.png --scale 2")
    print(f"  {samovar()} stop          ends it")


def samovar() -> str:
    """The program beside this Python."""
    return str(Path(sys.executable).parent / "samovar")


def upscale(source: Path, result: Path) -> dict[str, Any]:
    """One run of the program; its report, with the wall time of the whole process as `process` seconds."""
    began = time.perf_counter()
    command = [samovar(), "upscale", str(source), "-o", str(result), "--scale", str(SCALE), "--model", MODEL, "--json"]
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        raise SystemExit(finished.returncode)
    report: dict[str, Any] = json.loads(finished.stdout)
    report["process"] = time.perf_counter() - began
    return report


def table(runs: list[dict[str, Any]]) -> str:
    """Seconds by stage, one column a run. A first run that loaded nothing met a daemon that was already warm."""
    names = ["cold" if runs[0]["seconds"]["load"] else "warm already", "warm", "the same again"]
    lines = [f"{'seconds':22}" + "".join(f"{name:>16}" for name in names)]
    for stage in STAGES:
        lines.append(f"{stage:22}" + "".join(f"{run['seconds'][stage]:16.3f}" for run in runs))
    lines.append(f"{'whole process':22}" + "".join(f"{run['process']:16.3f}" for run in runs))
    how = runs[-1]
    known = "/".join(str(run["tiles"]["cached"]) for run in runs)
    total = how["tiles"]["total"]
    lines.append(f"on {how['device']}, {how['runtime']} {how['dtype']}, {total} tiles, of which known already: {known}")
    return "\n".join(lines)


def before_after(source: Path, result: Path) -> pyvips.Image:
    """Left what went in, right what came out: whole above, close up below; pixels of the input shown as squares."""
    small, large = (pyvips.Image.new_from_file(str(path)).flatten(background=255) for path in (source, result))
    left, top, width, height = CLOSE_UP
    zoom = large.width // width
    close_small = small.crop(left, top, width, height).resize(zoom, kernel="nearest")
    close_large = large.crop(*(SCALE * side for side in CLOSE_UP)).resize(zoom / SCALE, kernel="nearest")
    whole_small = small.resize(close_small.width / small.width, kernel="nearest")
    whole_large = large.resize(close_large.width / large.width)
    rows = pyvips.Image.arrayjoin([whole_small, whole_large], across=2, shim=8, background=255)
    close = pyvips.Image.arrayjoin([close_small, close_large], across=2, shim=8, background=255)
    return pyvips.Image.arrayjoin([rows, close], across=1, shim=8, background=255, valign="low").crop(
        0, 0, rows.width, rows.height + 8 + close.height
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("demo"))
