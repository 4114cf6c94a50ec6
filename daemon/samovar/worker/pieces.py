"""What is too large to hold as numbers goes through an operation in pieces.

Inside, a picture is three float32 planes, before and after: 60 bytes for each pixel that becomes four. So beyond
WHOLE_BYTES of them, the layer is cut into pieces of PIECE_BYTES, each seen with what the operation sees around it.
Memory then does not depend on the picture. Pieces are smaller than what still goes through as a whole, because a
network that takes means over the picture has to look twice at a picture in pieces.

The pieces meet where pixels of the layer and of the result meet; by a factor by which they meet nowhere, the picture
goes through as a whole. Where the size of the result had to be rounded, a picture in pieces keeps the factor exactly,
and as a whole is stretched by up to half a pixel.
"""

from __future__ import annotations

import math

from samovar.worker.image import has_alpha
from samovar.worker.region import Box
from samovar.worker.tiling import Tile, in_view_first, layout
from samovar.worker.way import Way

WHOLE_BYTES = 384 << 20
PIECE_BYTES = 80 << 20
COPIES, COPIES_WITH_HOLES = 2, 5
"""How many times the planes before and after are there at once, at the most."""


def cut(way: Way, scope: Box) -> list[Box]:
    """The boxes, in pixels of the layer, that make up the scope; those in view come first. One, if it can be held."""
    copies = COPIES_WITH_HOLES if has_alpha(way.raster) and way.whole.holes else COPIES
    pixel_bytes = float(4 * way.raster.channels * copies * (1 + way.scale**2))
    if scope.height * scope.width * pixel_bytes <= WHOLE_BYTES or not _is_exact(way):
        return [scope]
    pitch = way.pitch
    side = max(pitch, int(math.sqrt(PIECE_BYTES / pixel_bytes)) // pitch * pitch)
    top, left = scope.top // pitch * pitch, scope.left // pitch * pitch
    tiles = layout(scope.top + scope.height - top, scope.left + scope.width - left, side, pitch)
    tiles = [Tile(each.top + top, each.left + left, each.height, each.width) for each in tiles]
    view = way.job.run.viewport
    if view is not None:
        tiles = in_view_first(tiles, (view.y, view.x, view.y + view.height, view.x + view.width))
    boxes = [_common(each, scope) for each in tiles]
    return boxes if all(_fits(way, scope, each) for each in boxes) else [scope]


def _fits(way: Way, scope: Box, box: Box) -> bool:
    found = place(way, scope, box)
    if way.operation.output_size is None:
        return True
    return way.operation.output_size(box.width, box.height, way.params) == (found.width, found.height)


def place(way: Way, scope: Box, box: Box) -> Box:
    """Where a piece of the scope lies in the result of the scope."""
    top, left = (_scaled(at, way) for at in (box.top - scope.top, box.left - scope.left))
    bottom = _scaled(box.top + box.height - scope.top, way)
    right = _scaled(box.left + box.width - scope.left, way)
    return Box(top, left, bottom - top, right - left)


def _scaled(pixels: int, way: Way) -> int:
    return math.floor(pixels * way.scale + 0.5)


def _is_exact(way: Way) -> bool:
    """Whether pixels of the layer and of the result meet at every multiple of the pitch."""
    if way.operation.output_size is None:
        return True
    far = way.pitch << 12
    return way.operation.output_size(far, far, way.params)[0] == far * way.scale


def _common(tile: Tile, scope: Box) -> Box:
    top, left = max(tile.top, scope.top), max(tile.left, scope.left)
    bottom = min(tile.top + tile.height, scope.top + scope.height)
    right = min(tile.left + tile.width, scope.left + scope.width)
    return Box(top, left, bottom - top, right - left)
