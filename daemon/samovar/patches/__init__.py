"""Pictures made of patches of other pictures: nearest-neighbour fields, and what is built on them.

Here, planes are (H, W, C) float32, channels last, because patches are gathered pixel by pixel; all else that is a map
of a picture is (H, W). `Wrap` says along which axes (y, x) a picture goes on at its other side.
"""
