"""`samovar train`: the small networks trained on a folder of the user's own pictures, as our own weights were.

A training is decided by its settings, its seed and its pictures: each step draws its batch from a generator of its own,
so that one that was broken off goes on as if it had not been. What is held out is told by the pictures' names alone.
"""
