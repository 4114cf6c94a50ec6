"""The daemon's log: a file that is rotated, and that a full disk costs some lines and nothing else."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES = 4 << 20
KEPT_FILES = 3


class LogFile(RotatingFileHandler):
    """What cannot be written is counted; how much it was is the first that is written afterwards."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
        self._missing = 0
        self._reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        if self._missing:
            missing, self._missing = self._missing, 0
            words = f"{missing} lines are missing here: {self._reason}"
            super().emit(logging.LogRecord(__name__, logging.WARNING, __file__, 0, words, None, None))
            if self._missing:  # it still cannot be written
                self._missing = missing + 1
                return
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Instead of a traceback on stderr for each line."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # a defect, which is to be seen
            super().handleError(record)
            return
        self._missing += 1
        self._reason = error.strerror or str(error)
