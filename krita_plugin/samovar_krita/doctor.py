"""A window with what `samovar doctor` finds, to be read or copied into a bug report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .qt import QtCore, QtGui, QtWidgets
from .samovar_link import daemon_command
from .samovar_link.doctor import Doctor

_TURN_MILLISECONDS = 200
_WIDTH, _HEIGHT = 760, 480


class DoctorWindow(QtWidgets.QDialog):
    """Runs it at once. Krita stays usable."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Samovar: Doctor")
        self.resize(_WIDTH, _HEIGHT)
        self.text = QtWidgets.QPlainTextEdit("Looking at everything; this takes some ten seconds...")
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QtWidgets.QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QtGui.QFontDatabase.systemFont(QtGui.QFontDatabase.SystemFont.FixedFont))
        self.copy_button = QtWidgets.QPushButton("Copy")
        self.copy_button.setEnabled(False)
        self.copy_button.clicked.connect(self._copy)
        close = QtWidgets.QPushButton("Close")
        close.clicked.connect(self.close)
        buttons = QtWidgets.QHBoxLayout()
        buttons.addStretch()
        for each in (self.copy_button, close):
            buttons.addWidget(each)
        column = QtWidgets.QVBoxLayout(self)
        column.addWidget(self.text)
        column.addLayout(buttons)
        self._doctor = Doctor(daemon_command(Path(__file__).parent))
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._turn)
        self._timer.start(_TURN_MILLISECONDS)

    def closeEvent(self, event: Any) -> None:
        """Nobody waits for it any more."""
        self._timer.stop()
        self._doctor.close()
        event.accept()

    def _turn(self) -> None:
        found = self._doctor.poll()
        if found is not None:
            self._timer.stop()
            self.text.setPlainText(found)
            self.copy_button.setEnabled(True)

    def _copy(self) -> None:
        QtWidgets.QApplication.clipboard().setText(self.text.toPlainText())
