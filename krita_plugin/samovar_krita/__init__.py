"""Samovar in Krita: three actions and a docker.

Krita imports this package when it starts. Nothing here touches the network or starts a program before the user opens
the docker or calls an action.
"""

from __future__ import annotations

from functools import partial

from krita import DockWidgetFactory, DockWidgetFactoryBase, Krita

from .desk import Desk
from .docker import DOCKER_ID, SamovarDocker
from .extension import SamovarExtension

_krita = Krita.instance()
_desk = Desk(_krita)
_krita.addExtension(SamovarExtension(_krita, _desk))
_factory = DockWidgetFactory(DOCKER_ID, DockWidgetFactoryBase.DockPosition.DockRight, partial(SamovarDocker, _desk))
_krita.addDockWidgetFactory(_factory)
