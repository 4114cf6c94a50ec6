"""Textures grown from a sample.

Knows nothing of layers, jobs or models: takes planes and numbers, gives pictures or where their pixels come from.
"""
