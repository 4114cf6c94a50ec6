#!/usr/bin/env python3
"""GIMP 3 starts this file, in a process of its own: to ask what Samovar offers, and again for every use.

GIMP takes a script for a plug-in if it has the name of its folder and may be executed. Python puts that folder first on
`sys.path`; `samovar_link` and `daemon.json` lie there once `samovar install gimp` has been run.
"""

import sys

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
from gi.repository import Gimp  # noqa: E402
from samovar_plugin.plugin import Samovar  # noqa: E402

Gimp.main(Samovar.__gtype__, sys.argv)
