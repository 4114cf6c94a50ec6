"""Runs inside kritarunner: layers of every kind of picture go through the plug-in's reading and writing, unchanged.

Prints one JSON object: for each picture what travelled, and how far the pixels that came back are from those that went.
"""

import array
import json
import os
import sys
import traceback

SRGB = "sRGB-elle-V2-srgbtrc.icc"
LINEAR = "sRGB-elle-V2-g10.icc"
WIDE = "ClayRGB-elle-V2-g22.icc"
GRAY = "Gray-D50-elle-V2-srgbtrc.icc"
GRAY_LINEAR = "Gray-D50-elle-V2-g10.icc"
LAB = ("LABA", "U16", "")
PICTURES = [
    ("RGBA", "U8", SRGB), ("RGBA", "U16", SRGB), ("RGBA", "F16", SRGB), ("RGBA", "F32", SRGB),
    ("RGBA", "U16", LINEAR), ("RGBA", "F32", LINEAR), ("RGBA", "U8", WIDE), ("RGBA", "U16", WIDE),
    ("GRAYA", "U8", GRAY), ("GRAYA", "U16", GRAY), ("GRAYA", "F32", GRAY), ("GRAYA", "U16", GRAY_LINEAR),
    ("CMYKA", "U8", ""), LAB,
]  # fmt: skip
CODES = {"U8": "B", "U16": "H", "F16": "H", "F32": "f"}
CHANNELS = {"RGBA": 4, "GRAYA": 2, "CMYKA": 5, "LABA": 4}
LEFT, TOP, WIDTH, HEIGHT = -3, 5, 300, 70  # more than one strip, and out of the canvas on one side


def content(model, depth):
    """Opaque gradients; the alpha of the last rows falls."""
    channels = CHANNELS[model]
    full = {"U8": 255, "U16": 65535, "F32": 1.0, "F16": 0}[depth]
    values = array.array(CODES[depth])
    for y in range(HEIGHT):
        for x in range(WIDTH):
            shares = [(x + 0.5) / WIDTH, (y + 0.5) / HEIGHT, ((x + y) % 64 + 0.5) / 64, 0.25][: channels - 1]
            alpha = 1.0 if y < HEIGHT - 8 else 0.5
            if depth == "F16":  # 1.0 is 0x3C00; below it the bit patterns grow with the numbers
                values.extend([0x3000 + int(share * 0xC00) for share in shares] + [0x3C00 if alpha == 1.0 else 0x3800])
            else:
                values.extend([full * s if depth == "F32" else int(full * s) for s in [*shares, alpha]])
    return values.tobytes()


def exhaust(work):
    """What a generator returns."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value


def distance(model, depth, sent, received):
    """Largest difference of colour and of alpha, in the units of the depth."""
    a, b = (array.array(CODES[depth], pixels) for pixels in (sent, received))
    channels = CHANNELS[model]
    differences = [abs(p - q) for p, q in zip(a, b, strict=True)]
    alpha = differences[channels - 1 :: channels]
    del differences[channels - 1 :: channels]
    return [max(differences), max(alpha)]


def round_trip(krita, model, depth, profile):
    from samovar_krita import canvas, placement
    from samovar_krita.colorspace import ColorSpace

    document = krita.createDocument(WIDTH + 20, HEIGHT + 20, "picture", model, depth, profile, 72.0)
    document.setBatchmode(True)
    node = document.createNode("source", "paintlayer")
    sent = content(model, depth)
    node.setPixelData(sent, LEFT, TOP, WIDTH, HEIGHT)
    document.rootNode().addChildNode(node, document.rootNode().childNodes()[-1])
    source = canvas.source(document, node)
    pixels = exhaust(canvas.read(source))
    result = placement.Result(source.raster, pixels, 1.0, "result")
    made = document.createNode("result", "paintlayer")
    exhaust(placement.fill(document, made, result, source.raster.x, source.raster.y))
    received = bytes(made.pixelData(LEFT, TOP, WIDTH, HEIGHT))
    raster = source.raster
    return {
        "raster": [raster.x, raster.y, raster.width, raster.height, raster.channels, raster.dtype, raster.order],
        "as_is": source.space.is_encoded,
        "travelled": bytes(pixels[:32]).hex() if raster.dtype != "f32" else list(array.array("f", bytes(pixels[:32]))),
        "distance": distance(model, depth, sent, received),
        "same_space": ColorSpace.of(made) == ColorSpace.of(node),
        "source_same": bytes(node.pixelData(LEFT, TOP, WIDTH, HEIGHT)) == sent,
    }


def known_colour(krita):
    """(200, 100, 10) of sRGB in pictures of other kinds must travel as just that."""
    found = {}
    for model, depth, profile in (("RGBA", "U16", LINEAR), ("RGBA", "F32", LINEAR), ("RGBA", "U16", WIDE), LAB):
        sent, _ = travelled(krita, model, depth, profile, [10, 100, 200, 255])
        found[f"{model} {depth} {profile}"] = sent
    return found


def travelled(krita, model, depth, profile, bgra):
    """One colour as it travels, and as Krita shows it; both R G B A in 0..255."""
    from samovar_krita import canvas

    document = krita.createDocument(8, 8, "picture", model, depth, profile, 72.0)
    document.setBatchmode(True)
    node = document.createNode("source", "paintlayer")
    node.setColorSpace("RGBA", "U8", SRGB)
    node.setPixelData(bytes(bgra) * 4, 1, 1, 2, 2)
    node.setColorSpace(model, depth, document.colorProfile())
    document.rootNode().addChildNode(node, document.rootNode().childNodes()[-1])
    pixels = exhaust(canvas.read(canvas.source(document, node)))
    shown = node.duplicate()
    shown.setColorSpace("RGBA", "U8", SRGB)
    blue, green, red, alpha = bytes(shown.pixelData(1, 1, 1, 1))
    return [255 * value for value in array.array("f", bytes(pixels))][:4], [red, green, blue, alpha]


def cut():
    """A part of a mask whose bytes are numbered."""
    from samovar_krita.samovar_link.messages import Raster
    from samovar_krita.selection import part_of

    whole, part = Raster(4, 6, 1, x=-3, y=10), Raster(2, 3, 1, x=-1, y=12)
    return list(part_of(memoryview(bytes(range(24))), whole, part))


def main(*_):
    try:
        from krita import Krita

        krita = Krita.instance()
        facts = {" ".join(picture): round_trip(krita, *picture) for picture in PICTURES}
        facts["known"] = known_colour(krita)
        facts["cmyk"] = travelled(krita, "CMYKA", "U8", "", [110, 130, 150, 255])
        facts["cut"] = cut()
        print("\nSAMOVAR-RUNNER " + json.dumps(facts))
    except BaseException:
        traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # kritarunner's own exit status is always 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
