"""Qt 5 or 6, whichever this Krita is linked with.

Krita 5.3 and later say which; older ones are always Qt 5. Trying PyQt6 first would load a second Qt into the process
where both are installed. Enums are written fully scoped everywhere, which both understand.
"""

from __future__ import annotations

import pykrita

if getattr(pykrita, "qt_major_version", lambda: 5)() == 6:
    from PyQt6 import QtCore, QtGui, QtWidgets
else:
    from PyQt5 import QtCore, QtGui, QtWidgets

__all__ = ["QtCore", "QtGui", "QtWidgets"]
