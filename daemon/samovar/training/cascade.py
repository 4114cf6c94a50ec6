"""Drawn faces, found by a cascade of local binary patterns: OpenCV's classifier, and a file that the user brings.

Source: Liao et al., "Learning Multi-scale Block Local Binary Patterns for Face Recognition", ICB 2007; how it is
called: nagadomi, lbpcascade_animeface, README.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samovar.training.loop import TrainingError
from samovar.training.squares import LEAST, Found, Square
from samovar.weights import store

FILE = "lbpcascade_animeface.xml"
STEP, NEIGHBOURS, LEAST_SEEN = 1.1, 5, 24
"""From scale to scale; finds around a face that make it one; pixels of a side that the cascade was trained on."""
SEEN = 2000
"""Pixels of the longer side that the cascade looks at. A larger picture is shrunk for it, as long as a face that is
large enough to be taken keeps LEAST_SEEN."""
GROWN = 1.5
"""Times its side, for a box goes from brow to chin: hair and chin belong to a face."""
RAISED = 0.1
"""Of the box's side, that the square lies higher: there is more hair above than neck below."""


def where(given: Path | None) -> Path:
    """The cascade's file: what is given, or what lies in Samovar's folder of models. Raises TrainingError."""
    path = given or store.folder() / FILE
    if path.is_file():
        return path
    if given is not None:
        raise TrainingError(f"--cascade {given} is no file; name an OpenCV cascade, such as {FILE}")
    raise TrainingError(
        f"faces are found by {FILE}, by nagadomi, which Samovar does not bring along; "
        f"put it into {path.parent}, or name it: --cascade FILE"
    )


@dataclass(frozen=True)
class Faces:
    """The faces in pictures, the largest first. side : pixels that they are to have; cascade : as `opened` gives it"""

    side: int
    cascade: Any

    def __call__(self, pixels: npt.NDArray[np.uint8], number: int) -> Found:
        boxes = self._boxes(pixels)
        large = [each for each in boxes if each.side >= LEAST * self.side]
        return Found([grown(each, *pixels.shape[:2]) for each in large], len(boxes) - len(large))

    def _boxes(self, pixels: npt.NDArray[np.uint8]) -> list[Square]:
        import cv2

        scale = min(1.0, max(SEEN / max(pixels.shape[:2]), LEAST_SEEN / (LEAST * self.side)))
        gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        if scale < 1:
            gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        found = self.cascade.detectMultiScale(
            cv2.equalizeHist(gray), scaleFactor=STEP, minNeighbors=NEIGHBOURS, minSize=(LEAST_SEEN, LEAST_SEEN)
        )
        boxes = [Square(*(round(int(each) / scale) for each in (left, top, width))) for left, top, width, _ in found]
        return sorted(boxes, key=lambda box: (-box.side, box.top, box.left))


def grown(box: Square, height: int, width: int) -> Square:
    """With hair and chin, inside a picture of this size."""
    side = min(round(box.side * GROWN), height, width)
    left = box.left + box.side / 2 - side / 2
    top = box.top + box.side / 2 - side / 2 - box.side * RAISED
    return Square(min(max(0, round(left)), width - side), min(max(0, round(top)), height - side), side)


def opened(path: Path) -> Any:
    """OpenCV's classifier. Raises TrainingError where OpenCV is not installed, and for a file that is no cascade."""
    try:
        import cv2
    except ImportError as error:
        raise TrainingError("to find faces takes OpenCV: pip install 'samovar[faces]'") from error
    cascade = cv2.CascadeClassifier()
    try:
        text = path.read_text(encoding="utf-8")  # not by its name: OpenCV on Windows reads ASCII ones alone
        file = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        cascade.read(file.getFirstTopLevelNode())
        cascade.detectMultiScale(np.zeros((64, 64), np.uint8))  # what is no cascade fails here, not at a picture
    except (OSError, UnicodeDecodeError, cv2.error, SystemError) as error:
        raise TrainingError(f"{path} is no cascade that OpenCV reads; get {FILE} anew") from error
    return cascade
