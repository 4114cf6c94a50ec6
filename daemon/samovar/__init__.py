"""Samovar keeps image models hot for Krita and GIMP."""

__version__ = "0.1.0"
