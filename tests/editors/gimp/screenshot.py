"""Takes the README's picture of GIMP: the demo drawing, upscaled there, under the open dialog.

python tests/editors/gimp/screenshot.py [OUT.png]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
sys.path[:0] = [str(HERE), str(HERE.parent), str(REPOSITORY / "docs")]

import debian_root  # noqa: E402
import drawing  # noqa: E402
from remote_gimp import RemoteGimp, prepare  # noqa: E402
from screen import Screen, virtual_screen  # noqa: E402

from samovar_link import Stop, connect, connect_or_start  # noqa: E402

SIZE = (1200, 760)


def main(out: Path) -> None:
    root = debian_root.ensure()
    with tempfile.TemporaryDirectory() as home, virtual_screen(*SIZE) as display:
        os.environ["SAMOVAR_HOME"] = home
        connect_or_start("screenshot", "", [sys.executable, "-m", "samovar"]).close()
        gimp = RemoteGimp(prepare(expose=False), root, ["gimp", "-n", "--no-splash"], display)
        gimp.show_daemon((Path(home) / "connection.json").read_bytes())
        try:
            _pose(gimp, Screen(display), out)
        finally:
            gimp.close()
            with connect("screenshot", "") as client:
                client.send(Stop())
                client.receive(5)
    print(out, f"{out.stat().st_size // 1024} KB")


def _pose(gimp: RemoteGimp, screen: Screen, out: Path) -> None:
    source = gimp.folder / "samovar.png"
    source.write_bytes(drawing.render(drawing.scene(), 256))
    image = gimp.load(str(source))
    layer = gimp.first_layer(image)
    gimp.show(image)
    window = screen.wait_for("GIMP$")
    screen.place(window, 0, 0, *SIZE)
    status, message, _ = gimp.samovar("upscale", image, [layer])
    assert status == "SUCCESS", message
    gimp.begin("samovar", "upscale", image, [gimp.first_layer(image)], "INTERACTIVE")
    dialog = screen.wait_for("Samovar: Upscale")
    screen.place(dialog, 620, 440)
    screen.hover(600, 20)
    screen.picture(out, "-strip", "-define", "png:compression-level=9")
    screen.press(dialog, "Escape")
    gimp.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "images" / "gimp.png")
