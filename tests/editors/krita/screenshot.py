"""Makes docs/images/krita.png: a real Krita with the docker, beside a drawing that it has just enlarged.

    python tests/editors/krita/screenshot.py [OUT.png]

Needs Krita and Xvfb (`make editors`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
sys.path[:0] = [str(HERE), str(HERE.parent), str(REPOSITORY / "docs")]

import drawing  # noqa: E402
import pyvips  # noqa: E402
from harness import Krita  # noqa: E402
from screen import virtual_screen  # noqa: E402

SIDE = 400
MAXIMUM_BYTES = 400_000


def main() -> None:
    out = Path(sys.argv[1]) if sys.argv[1:] else REPOSITORY / "docs/images/krita.png"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, virtual_screen() as display:
        krita = Krita(Path(folder), display)
        krita.install()
        picture = Path(folder) / "samovar.bgra"
        red, green, blue, alpha = pyvips.Image.pngload_buffer(drawing.render(drawing.scene(), SIDE)).bandsplit()
        picture.write_bytes(blue.bandjoin([green, red, alpha]).write_to_memory())
        home = {"SAMOVAR_HOME": f"{folder}/samovar"}
        samovar = [sys.executable, "-m", "samovar"]
        try:
            play = krita.play("portrait", home, PICTURE=str(picture), SIDE=str(SIDE), SAMOVAR_COMMAND=" ".join(samovar))
        finally:
            subprocess.run([*samovar, "stop"], env={"PATH": "/usr/bin:/bin", **home}, check=False)
        print(play.facts["says"])
        shot = pyvips.Image.new_from_file(str(play.folder / "portrait.png"))[:3]
        out.parent.mkdir(parents=True, exist_ok=True)
        shot.pngsave(str(out), palette=True, dither=0, compression=9, strip=True)
    size = out.stat().st_size
    print(f"{out}: {size} bytes")
    assert size <= MAXIMUM_BYTES, "too large for a README"


if __name__ == "__main__":
    main()
