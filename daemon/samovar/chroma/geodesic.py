"""How far each pixel is from the nearest stroke, when crossing an edge of the lightness counts as a long way.

So a stroke reaches all of the region it was drawn in, and its outline stops it. Found by sweeps: down, up, right and
left again and again, each of which carries distances on through the whole picture.

Source: Yatziv and Sapiro, "Fast image and video colorization using chrominance blending", IEEE TIP 15 (2006), section
II (geodesic distance in lightness); the sweeps: Zhao, "A fast sweeping method for Eikonal equations", Mathematics of
Computation 74 (2005). Other than there: distance has a part that does not depend on lightness, differences that may be
noise cost nothing, and a pixel takes the colour of one stroke, the nearest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from samovar.chroma import Wrap

STEP = 0.0005
"""Cost of a step from a pixel to the next on even ground; a difference of lightness of one unit costs PER_LEVEL."""
PER_LEVEL = 1 / 25
NOISE = 2.0
"""A difference of lightness as small as this costs nothing."""
MOST_ROUNDS = 12

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]


def nearest(lightness: Floats, marks: npt.NDArray[np.bool_], wrap: Wrap = (False, False)) -> tuple[Floats, Indices]:
    """Of each pixel the distance to the nearest mark, and which pixel that is.

    lightness : (H, W), 0..100; marks : (H, W), where the strokes are, one at least
    returns : distance (H, W), 0 at a mark; index (H, W) into the flattened picture
    """
    height, width = lightness.shape
    distance: Floats = np.where(marks, np.float32(0), np.float32(np.inf)).astype(np.float32)
    index: Indices = np.arange(height * width, dtype=np.int32).reshape(height, width)
    down = _costs(lightness, np.roll(lightness, 1, 0))  # from the row above
    right = _costs(lightness, np.roll(lightness, 1, 1))
    for _ in range(MOST_ROUNDS):
        changed = _swept(distance, index, down, wrap[0])
        changed |= _swept(distance.T, index.T, right.T, wrap[1])
        if not changed:
            break
    return distance, index


def _costs(one: Floats, other: Floats) -> Floats:
    apart = np.maximum(np.abs(one - other) - np.float32(NOISE), 0)
    costs: Floats = np.float32(STEP) + apart * np.float32(PER_LEVEL)
    return costs


def _swept(distance: Floats, index: Indices, costs: Floats, wraps: bool) -> bool:
    """Once down and once up, in place. costs : of the way from the row above. Returns whether anything changed."""
    rows = len(distance)
    ways = [(y, y - 1, y) for y in range(0 if wraps else 1, rows)]
    changed = False
    for to, start, edge in (*ways, *((start, to, edge) for to, start, edge in reversed(ways))):
        reached = distance[start] + costs[edge]
        closer = reached < distance[to]
        if closer.any():
            changed = True
            distance[to][closer] = reached[closer]
            index[to][closer] = index[start][closer]
    return changed
