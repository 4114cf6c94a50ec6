"""Eight actions under Tools, Scripts. `samovar_krita.action` gives them their place among the keyboard shortcuts."""

from __future__ import annotations

from functools import partial
from typing import Any

from krita import Extension, Krita

from .desk import Desk, entry
from .docker import DOCKER_ID

MENU = "tools/scripts"


class SamovarExtension(Extension):
    """Created once, when Krita starts; `createActions` is called for each window."""

    def __init__(self, parent: Any, desk: Desk) -> None:
        super().__init__(parent)
        self.desk = desk

    def setup(self) -> None:
        """Nothing: there is no window yet, and the daemon is not needed before the user asks for it."""

    @entry
    def createActions(self, window: Any) -> None:
        upscale = window.createAction("samovar_upscale", "Samovar: Upscale...", MENU)
        upscale.triggered.connect(partial(self.show_docker, "upscale"))
        denoise = window.createAction("samovar_denoise", "Samovar: Denoise...", MENU)
        denoise.triggered.connect(partial(self.show_docker, "denoise"))
        inpaint = window.createAction("samovar_inpaint", "Samovar: Remove Selection...", MENU)
        inpaint.triggered.connect(partial(self.show_docker, "inpaint"))
        restore = window.createAction("samovar_restore", "Samovar: Restore...", MENU)
        restore.triggered.connect(partial(self.show_docker, "restore"))
        colorize = window.createAction("samovar_colorize", "Samovar: Colorize...", MENU)
        colorize.triggered.connect(partial(self.show_docker, "colorize"))
        texture = window.createAction("samovar_texture", "Samovar: Texture...", MENU)
        texture.triggered.connect(partial(self.show_docker, "texture"))
        faces = window.createAction("samovar_faces", "Samovar: Faces...", MENU)
        faces.triggered.connect(partial(self.show_docker, "faces"))
        repeat = window.createAction("samovar_repeat", "Samovar: repeat last", MENU)
        repeat.triggered.connect(self.repeat)

    @entry
    def show_docker(self, operation: str, *_: object) -> None:
        """Open the docker on an operation and have the daemon ready."""
        for docker in Krita.instance().dockers():
            if docker.objectName() == DOCKER_ID:
                docker.setVisible(True)
                docker.raise_()
        self.desk.chosen.emit(operation)
        self.desk.connect(True)

    @entry
    def repeat(self, *_: object) -> None:
        self.desk.repeat()
