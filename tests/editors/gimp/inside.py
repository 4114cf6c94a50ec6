"""Runs inside GIMP, as its batch: does what the test outside asks for, one function call a line, over a socket.

A line in is [function, arguments, keywords] in JSON, a line out [result, error]. Images and layers travel as their ids,
pixels as hex. Globals (Gimp, Gegl) come from GIMP's batch interpreter.
"""

import hashlib
import json
import os
import random
import socket
import sys
import time
import traceback

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
from gi.repository import Babl, Gegl, Gimp, Gio  # noqa: E402, F401

NONE = Gegl.AbyssPolicy.NONE


def version():
    return Gimp.version()


def image(width, height, base="RGB", precision="U8_NON_LINEAR", profile=""):
    made = Gimp.Image.new_with_precision(
        width, height, getattr(Gimp.ImageBaseType, base), getattr(Gimp.Precision, precision)
    )
    if profile:
        made.set_color_profile(getattr(Gimp.ColorProfile, profile)())
    return made.get_id()


def layer(image, kind, width, height, x=0, y=0, pixels="", format="", parent=0, name="source"):
    """A layer on top; `pixels` in hex, in the GEGL format of that name."""
    owner = Gimp.Image.get_by_id(image)
    made = Gimp.Layer.new(owner, name, width, height, getattr(Gimp.ImageType, kind), 100.0, Gimp.LayerMode.NORMAL)
    owner.insert_layer(made, Gimp.Item.get_by_id(parent) if parent else None, 0)
    made.set_offsets(x, y)
    if pixels:
        _set(made, format, pixels)
    return made.get_id()


def group(image):
    owner = Gimp.Image.get_by_id(image)
    made = Gimp.GroupLayer.new(owner, "group")
    owner.insert_layer(made, None, 0)
    return made.get_id()


def add_mask(layer, pixels):
    """Give the layer a mask, one byte a pixel, and return the mask."""
    owner = Gimp.Item.get_by_id(layer)
    owner.add_mask(owner.create_mask(Gimp.AddMaskType.WHITE))
    _set(owner.get_mask(), "Y u8", pixels)
    return owner.get_mask().get_id()


def select(image, x, y, width, height, feather=0):
    owner = Gimp.Image.get_by_id(image)
    Gimp.context_set_feather(feather > 0)
    Gimp.context_set_feather_radius(feather, feather)
    owner.select_rectangle(Gimp.ChannelOps.REPLACE, x, y, width, height)


def select_ellipse(image, x, y, width, height):
    Gimp.context_set_feather(False)
    Gimp.Image.get_by_id(image).select_ellipse(Gimp.ChannelOps.REPLACE, x, y, width, height)


def float_selection(image, layer):
    """Cut part of a layer out into a floating selection."""
    select(image, 2, 2, 9, 9)
    return Gimp.Selection.float(Gimp.Image.get_by_id(image), [Gimp.Item.get_by_id(layer)], 0, 0).get_id()


def text(image, words):
    """A text layer on top."""
    owner = Gimp.Image.get_by_id(image)
    made = Gimp.TextLayer.new(owner, words, Gimp.context_get_font(), 24.0, Gimp.Unit.pixel())
    owner.insert_layer(made, None, 0)
    return made.get_id()


def kind(layer):
    return type(Gimp.Item.get_by_id(layer)).__name__


def add_effect(layer):
    owner = Gimp.Item.get_by_id(layer)
    owner.append_filter(Gimp.DrawableFilter.new(owner, "gegl:gaussian-blur", ""))


def lock(layer):
    Gimp.Item.get_by_id(layer).set_lock_content(True)
    Gimp.Item.get_by_id(layer).set_lock_position(True)
    Gimp.Item.get_by_id(layer).set_lock_visibility(True)


def hide(layer):
    Gimp.Item.get_by_id(layer).set_visible(False)


def to_indexed(image):
    Gimp.Image.get_by_id(image).convert_indexed(
        Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, False, ""
    )


def pixels(drawable, format=None):
    """All pixels, in the GEGL format of that name or as they lie in memory."""
    owner = Gimp.Item.get_by_id(drawable)
    area = Gegl.Rectangle.new(0, 0, owner.get_width(), owner.get_height())
    return owner.get_buffer().get(area, 1.0, format, NONE).hex()


def digest(drawable):
    """Tells all pixels of a large layer apart from others."""
    return hashlib.sha256(bytes.fromhex(pixels(drawable))).hexdigest()


def scramble(layer, seed):
    """Fill a layer with noise, in squares of 8 pixels so that it is soon saved."""
    owner = Gimp.Item.get_by_id(layer)
    width, height = owner.get_width(), owner.get_height()
    numbers, rows = random.Random(seed), []
    for _ in range(0, height, 8):
        row = b"".join(numbers.randbytes(4) * 8 for _ in range(0, width, 8))
        rows.append(row[: width * 4] * 8)
    _fill(owner, "R'G'B'A u8", b"".join(rows)[: width * height * 4])


def visible(image, format):
    """What the whole image looks like; in the GEGL format of that name."""
    owner = Gimp.Image.get_by_id(image)
    shown = Gimp.Layer.new_from_visible(owner, owner, "visible")
    found = pixels(shown.get_id(), format)
    shown.delete()
    return found


def save(image, path):
    Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, Gimp.Image.get_by_id(image), Gio.File.new_for_path(path), None)


def selection(image, x, y, width, height):
    channel = Gimp.Image.get_by_id(image).get_selection()
    return channel.get_buffer().get(Gegl.Rectangle.new(x, y, width, height), 1.0, "Y u8", NONE).hex()


def state(image):
    """All that a plug-in could have changed, but for pixels."""
    owner = Gimp.Image.get_by_id(image)
    return {
        "size": [owner.get_width(), owner.get_height()],
        "layers": [_layer_state(each) for each in owner.get_layers()],
        "selection": list(Gimp.Selection.bounds(owner))[1:],
        "dirty": owner.is_dirty(),
    }


def _layer_state(layer):
    return {
        "id": layer.get_id(),
        "name": layer.get_name(),
        "size": [layer.get_width(), layer.get_height()],
        "offset": list(layer.get_offsets())[1:],
        "visible": layer.get_visible(),
        "opacity": layer.get_opacity(),
        "mode": layer.get_mode().value_nick if hasattr(layer.get_mode(), "value_nick") else str(layer.get_mode()),
        "alpha": layer.has_alpha(),
        "mask": layer.get_mask().get_id() if layer.get_mask() else 0,
        "children": [_layer_state(each) for each in layer.get_children()] if layer.is_group() else [],
    }


def set_layer(layer, opacity, mode):
    owner = Gimp.Item.get_by_id(layer)
    owner.set_opacity(opacity)
    owner.set_mode(getattr(Gimp.LayerMode, mode))


def procedures():
    """The arguments of each of our procedures: name -> label, help, default, and range or choices where there are."""
    pdb = Gimp.get_pdb()
    names = pdb.query_procedures("plug-in-samovar-", *[""] * 7)
    found = {}
    for name in names:
        procedure = pdb.lookup_procedure(name)
        found[name] = {each.get_name(): _argument(each) for each in procedure.get_arguments()}
    return found


def menus(operation):
    return Gimp.get_pdb().lookup_procedure(f"plug-in-samovar-{operation}").get_menu_paths()


def mode(layer):
    found = Gimp.Item.get_by_id(layer).get_mode()
    return next(each for each in ("NORMAL", "MULTIPLY", "LCH_COLOR") if getattr(Gimp.LayerMode, each) == found)


def base(image):
    found = Gimp.Image.get_by_id(image).get_base_type()
    return next(each for each in ("RGB", "GRAY", "INDEXED") if getattr(Gimp.ImageBaseType, each) == found)


def samovar(operation, image, drawables, run_mode="NONINTERACTIVE", **arguments):
    """Call a procedure: [status, message, seconds]."""
    procedure = Gimp.get_pdb().lookup_procedure(f"plug-in-samovar-{operation}")
    config = procedure.create_config()
    config.set_property("run-mode", getattr(Gimp.RunMode, run_mode))
    config.set_property("image", Gimp.Image.get_by_id(image))
    config.set_core_object_array("drawables", [Gimp.Item.get_by_id(each) for each in drawables])
    for name, value in arguments.items():
        config.set_property(name.replace("_", "-"), Gimp.Item.get_by_id(value) if name == "hints" else value)
    began = time.monotonic()
    result = procedure.run(config)
    names = {
        int(getattr(Gimp.PDBStatusType, each)): each
        for each in ("SUCCESS", "CANCEL", "EXECUTION_ERROR", "CALLING_ERROR")
    }
    return [names[int(result.index(0))], Gimp.get_pdb().get_last_error(), time.monotonic() - began]


def show(image):
    """Open a window on the image, and return it."""
    return Gimp.Display.new(Gimp.Image.get_by_id(image)).get_id()


def close_view(display):
    """Close a window; the image goes with the last one."""
    Gimp.Display.get_by_id(display).delete()


def rename(layer, name):
    Gimp.Item.get_by_id(layer).set_name(name)


def remove(image, layer):
    Gimp.Image.get_by_id(image).remove_layer(Gimp.Item.get_by_id(layer))


def chosen(image, layers=None):
    """What is selected in the list of layers, and in that of channels; `layers` are selected first."""
    owner = Gimp.Image.get_by_id(image)
    if layers is not None:
        owner.set_selected_layers([Gimp.Item.get_by_id(each) for each in layers])
    return [
        [each.get_name() for each in found] for found in (owner.get_selected_layers(), owner.get_selected_channels())
    ]


def choose_channel(image):
    """Add a channel and select it in the list, as somebody who paints on it does."""
    owner = Gimp.Image.get_by_id(image)
    made = Gimp.Channel.new(owner, "channel", owner.get_width(), owner.get_height(), 50.0, Gegl.Color.new("red"))
    owner.insert_channel(made, None, 0)
    owner.set_selected_channels([made])


def mask(layer):
    """Its pixels, one byte each."""
    return (
        pixels(Gimp.Item.get_by_id(layer).get_mask().get_id(), "Y u8") if Gimp.Item.get_by_id(layer).get_mask() else ""
    )


def snapshot(layer):
    """A copy of a layer that may go at any moment, or None: GIMP ends a plug-in, and this is one, that reads what is
    gone."""
    copy = Gimp.Item.get_by_id(layer).copy()
    return copy.get_id() if copy else None


def alpha(layer):
    """That of a layer which may go at any moment, as a picture of 64 pixels at most along its longer side: bytes in
    rows, and its width."""
    found, width, height, depth = Gimp.Item.get_by_id(layer).get_thumbnail_data(64, 64)
    return [list(found.get_data()[3::4]), width] if found and depth == 4 else [[], 0]


def show_part(image, layer, scope, whole, part, pixels):
    """Let the plug-in's own code show a part of a result, given as fields of a Raster; the rest is `hide_parts`."""
    folder = os.path.join(os.environ["GIMP3_DIRECTORY"], "plug-ins", "samovar_gimp")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from samovar_plugin import live, source

    from samovar_link import Progress, Raster

    if _shown is None:
        found = source.choose(Gimp.Image.get_by_id(image), [Gimp.Item.get_by_id(layer)], scope)
        globals()["_shown"] = live.Live(found, "parts", scope, 1.0, found.mask())
    _shown.show(Progress("", 0.5, images={"image": Raster(**part)}, whole=Raster(**whole)), [bytes.fromhex(pixels)])


_shown = None


def hide_parts():
    _shown.__exit__()
    globals()["_shown"] = None


def load(path):
    return Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(path)).get_id()


def first_layer(image):
    return Gimp.Image.get_by_id(image).get_layers()[0].get_id()


def clean(image):
    Gimp.Image.get_by_id(image).clean_all()


def delete(image):
    Gimp.Image.get_by_id(image).delete()


def _argument(spec):
    default = spec.get_default_value()
    return {
        "label": spec.get_nick(),
        "help": spec.get_blurb(),
        "default": default if isinstance(default, (bool, int, float, str)) else None,
        "range": [getattr(spec, "minimum", None), getattr(spec, "maximum", None)],
        "choices": Gimp.param_spec_choice_get_choice(spec).list_nicks() if "Choice" in spec.__gtype__.name else [],
    }


def _set(drawable, format, pixels):
    _fill(drawable, format, bytes.fromhex(pixels))


def _fill(drawable, format, pixels):
    area = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    buffer = drawable.get_buffer()
    buffer.set(area, format, pixels)
    buffer.flush()
    drawable.update(0, 0, drawable.get_width(), drawable.get_height())


def listen():
    Gegl.init(None)
    with socket.create_connection(("127.0.0.1", int(os.environ["SAMOVAR_TEST_PORT"]))) as connection:
        stream = connection.makefile("rw")
        for line in stream:
            name, arguments, keywords = json.loads(line)
            try:
                answer = [globals()[name](*arguments, **keywords), ""]
            except Exception:
                answer = [None, traceback.format_exc()]
            stream.write(json.dumps(answer) + "\n")
            stream.flush()


listen()
