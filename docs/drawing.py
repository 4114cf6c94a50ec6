"""The drawing that demo, tests and README use: a samovar on a table, drawn here, so that it may be used anywhere.

    python docs/drawing.py OUT.png [WIDTH]

Ink lines, flat colour, soft gradients, fine hatching and a screentone cloth: what an upscaler for drawings must keep.
"""

from __future__ import annotations

import sys
from math import cos, pi, sin

SIZE = 512
INK = "#2b1d2e"


def scene() -> str:
    """The whole drawing as SVG, 512x512 units, on paper."""
    return _svg(_defs() + _wall() + _window() + _table() + _samovar() + _cup() + _steam())


def cutout() -> str:
    """The samovar alone on transparency, as SVG, 512x512 units."""
    return _svg(_defs() + _samovar() + _steam())


def render(svg: str, width: int) -> bytes:
    """PNG file bytes of an SVG from above, `width` pixels wide, 8-bit sRGB with alpha."""
    import pyvips

    image = pyvips.Image.svgload_buffer(svg.encode(), scale=width / SIZE)
    return bytes(image.pngsave_buffer(strip=True))


def _svg(body: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE}" height="{SIZE}" viewBox="0 0 512 512">{body}</svg>'


def _defs() -> str:
    return """<defs>
<linearGradient id="brass" x1="0" x2="1"><stop offset="0" stop-color="#8a4a1d"/><stop offset=".22" stop-color="#f6c765"/>
<stop offset=".34" stop-color="#fff1c2"/><stop offset=".5" stop-color="#e2a23f"/><stop offset=".85" stop-color="#a45b22"/>
<stop offset="1" stop-color="#6d3417"/></linearGradient>
<linearGradient id="night" y2="1" x2="0"><stop offset="0" stop-color="#1d2a5b"/><stop offset="1" stop-color="#5b6fb5"/></linearGradient>
<linearGradient id="wall" y2="1" x2="0"><stop offset="0" stop-color="#f2dcc0"/><stop offset="1" stop-color="#e3b992"/></linearGradient>
<radialGradient id="glow"><stop offset="0" stop-color="#fffbe0"/><stop offset="1" stop-color="#fffbe0" stop-opacity="0"/></radialGradient>
</defs>"""


def _path(d: str, fill: str = "none", width: float = 3, stroke: str = INK, extra: str = "") -> str:
    return f'<path d="{d}" fill="{fill}" stroke="{stroke}" stroke-width="{width}" stroke-linecap="round" stroke-linejoin="round" {extra}/>'


def _wall() -> str:
    stripes = "".join(f'<rect x="{x}" width="3" height="370" fill="#d9a880" opacity=".5"/>' for x in range(14, 512, 28))
    return f'<rect width="512" height="512" fill="url(#wall)"/>{stripes}'


def _window() -> str:
    stars = "".join(
        f'<circle cx="{336 + (i * 53) % 138}" cy="{58 + (i * 37) % 150}" r="{1 + i % 3 * 0.6}" fill="#fff"/>'
        for i in range(16)
    )
    roofs = _path("M326 256 v-20 l26 -26 26 26 v14 h24 v-28 l20 -18 20 18 v16 h36 v18 z", "#26305f", 2)
    frame = '<rect x="322" y="44" width="160" height="216" fill="none" stroke="#7b4a2a" stroke-width="10"/>'
    bars = _path("M402 46 v212 M324 150 h156", width=6, stroke="#7b4a2a")
    moon = '<circle cx="440" cy="92" r="40" fill="url(#glow)"/>' + _path(
        "M446 70 a24 24 0 1 0 14 40 a20 20 0 1 1 -14 -40z", "#ffeeb0", 2
    )
    edge = '<rect x="316" y="38" width="172" height="228" fill="none" stroke="#2b1d2e" stroke-width="2.5"/>'
    return f'<rect x="322" y="44" width="160" height="216" fill="url(#night)"/>{stars}{moon}{roofs}{frame}{bars}{edge}'


def _table() -> str:
    dots = "".join(
        f'<circle cx="{x + (row % 2) * 4}" cy="{378 + row * 4}" r="{0.5 + row * 0.045:.2f}" fill="#8f2435"/>'
        for row in range(33)
        for x in range(0, 516, 8)
    )
    fringe = "".join(f"M{x} 370 q6 10 12 0 " for x in range(0, 512, 12))
    return f'<rect y="368" width="512" height="144" fill="#d8485a"/>{dots}{_path("M0 369 h512", width=3.5)}{_path(fringe, "#fff3e0", 1.6)}'


def _samovar() -> str:
    body = "M140 190 C116 230 132 300 168 330 L232 330 C268 300 284 230 260 190 Z"
    hatch = "".join(f"M{244 + i * 3} {214 + i * 2} q{10 - i} 40 {-8 - i} {84 - i * 5} " for i in range(7))
    chain = "".join(
        f'<circle cx="{200 + 66 * cos(a * pi / 14):.1f}" cy="{200 + 15 * sin(a * pi / 14):.1f}" r="3" fill="#fbe3a0" stroke="{INK}" stroke-width="1.2"/>'
        for a in range(15)
    )
    parts = [
        _path("M150 372 q50 -18 100 0 l10 16 h-120 z", "url(#brass)"),
        _path("M178 330 h44 l8 34 h-60 z", "url(#brass)"),
        _path("M136 214 C96 200 92 262 132 268", "none", 9, "#6d3417")
        + _path("M136 214 C96 200 92 262 132 268", width=2),
        _path("M264 214 C304 200 308 262 268 268", "none", 9, "#6d3417")
        + _path("M264 214 C304 200 308 262 268 268", width=2),
        _path(body, "url(#brass)", 3.5),
        _path(hatch, width=1.1),
        _path("M134 190 q66 -22 132 0 q-66 22 -132 0z", "url(#brass)"),
        chain,
        _path("M168 176 q-4 -26 6 -36 h52 q10 10 6 36 q-32 12 -64 0z", "url(#brass)"),
        _path("M186 286 h28 v14 h-6 v34 q-8 6 -16 0 v-34 h-6z", "#c98431", 2.4),
        _path("M200 286 v-12 m-12 0 h24", width=5),
        _path("M150 250 q50 14 100 0 M148 258 q52 14 104 0", width=1.3),
        _teapot(),
    ]
    return "".join(parts)


def _teapot() -> str:
    flowers = "".join(
        f'<circle cx="{x + 4 * cos(k * 2 * pi / 5):.1f}" cy="{112 + 4 * sin(k * 2 * pi / 5):.1f}" r="2.6" fill="#d8485a"/>'
        for x in (184, 200, 216)
        for k in range(5)
    )
    return (
        _path("M160 118 q-22 -6 -28 -24 q12 2 16 10 q6 6 14 6z", "#fbf6ee", 2.4)
        + _path("M240 104 q22 -2 18 16 q-4 14 -22 12", width=5)
        + _path("M158 112 q0 -26 42 -26 q42 0 42 26 q0 28 -24 28 h-36 q-24 0 -24 -28z", "#fbf6ee")
        + _path("M176 88 q24 -12 48 0", width=2.4)
        + f'<circle cx="200" cy="78" r="6" fill="#d8485a" stroke="{INK}" stroke-width="2.4"/>'
        + flowers
    )


def _cup() -> str:
    return (
        '<ellipse cx="366" cy="430" rx="62" ry="15" fill="#fbf6ee" stroke="#2b1d2e" stroke-width="3"/>'
        + _path("M404 384 q26 -4 22 18 q-4 16 -30 14", width=5)
        + _path("M326 376 h80 q-2 46 -24 52 h-32 q-22 -6 -24 -52z", "#fbf6ee")
        + '<ellipse cx="366" cy="377" rx="40" ry="8" fill="#8a3b12" stroke="#2b1d2e" stroke-width="2.6"/>'
        + _path("M334 398 q32 12 64 0", width=2, stroke="#3a5fb0")
    )


def _steam() -> str:
    curls = "M186 66 q-14 -16 0 -30 t0 -28 M212 64 q14 -16 0 -30 t4 -26 M356 360 q-10 -14 0 -26 t0 -24 M376 360 q10 -14 0 -24 t2 -22"
    return _path(curls, width=3, stroke="#ffffff", extra='opacity=".85"') + _path(curls, width=1, stroke="#a08a98")


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as file:
        file.write(render(scene(), int(sys.argv[2]) if len(sys.argv) > 2 else SIZE))
