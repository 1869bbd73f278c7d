#!/usr/bin/env python3
"""hdmatt in GIMP 3: a layer and a trimap or a mask become a layer of foreground colours whose layer mask is the matte.

Pixels go to hdmatt as GIMP stores them, and come back by a PSD with the picture's own ICC profile: no colour is
converted on the way. How hdmatt is found and called is in hdmatt_program.py. Read top to bottom:

    HDMatt          the procedure plug-in-hdmatt, as GIMP sees it
    matte           what it does
    Marks           where the trimap comes from
    find_marks      the trimap or mask that the user means
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp, Gio, GLib, GObject  # noqa: E402
from hdmatt_program import Refused, arguments, find_program, hide_profile, psd_name, run, some_channels, write_png  # noqa: E402

PROCEDURE = "plug-in-hdmatt"
DEPTHS = {Gimp.Precision.U8_NON_LINEAR: 1, Gimp.Precision.U16_NON_LINEAR: 2}  # in bytes
SOURCES = (  # names of the choice, and what the dialog says
    ("found", "Automatic", 'A layer called "trimap"; else the selection, the layer mask, the transparency'),
    ("drawable", "Trimap: the layer or channel below", "Black background, grey unknown, white foreground"),
    ("selection", "Mask: the selection", "Its edge becomes unknown"),
    ("layer-mask", "Mask: the layer mask", "Its edge becomes unknown"),
    ("alpha", "Mask: the layer's transparency", "Its edge becomes unknown"),
)
STRIP = 128  # rows that are read at a time
_WHAT_TO_DO = 'Paint a trimap on a layer called "trimap", or select the subject roughly.'


class HDMatt(Gimp.PlugIn):
    """The procedure, its arguments and its place in the menu."""

    def do_set_i18n(self, name):
        return False

    def do_query_procedures(self):
        return [PROCEDURE]

    def do_create_procedure(self, name):
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, _run, None)
        procedure.set_image_types("RGB*")
        procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
        procedure.set_menu_label("_Matte (hdmatt)...")
        procedure.add_menu_path("<Image>/Layer/Mask")
        procedure.set_documentation(
            "Foreground colours with the matte as layer mask",
            "Computes the matte of the selected layer where a trimap is unknown, or around the edge of a mask.",
            name,
        )
        procedure.set_attribution("hdmatt", "hdmatt, Apache License 2.0", "2026")
        choice = Gimp.Choice.new()
        for number, (source, label, help_text) in enumerate(SOURCES):
            choice.add(source, number, label, help_text)
        flags = GObject.ParamFlags.READWRITE
        procedure.add_choice_argument(
            "source", "Trimap or mas_k", "What says where the matte is unknown", choice, "found", flags
        )
        procedure.add_drawable_argument("trimap", "_Trimap", "A layer or channel that is a trimap", True, flags)
        procedure.add_string_argument(
            "band", "_Band around a mask", "auto, or pixels (20), or percent of the diagonal (2%)", "auto", flags
        )
        procedure.add_boolean_argument("hide", "_Hide layer and trimap", "So that the result is seen", True, flags)
        procedure.add_string_argument(
            "program", "_Program", "Where hdmatt is: its path, or that of a python. Empty: looked for", "", flags
        )
        procedure.add_layer_return_value("layer", "Layer", "The new layer", True, flags)
        return procedure


def _run(procedure, run_mode, image, drawables, config, _data):
    """Ask, compute, and turn errors into GIMP's messages."""
    if run_mode == Gimp.RunMode.INTERACTIVE:
        gi.require_version("GimpUi", "3.0")
        from gi.repository import GimpUi

        GimpUi.init(PROCEDURE)
        dialog = GimpUi.ProcedureDialog.new(procedure, config, "Matte (hdmatt)")
        dialog.fill(None)
        agreed = dialog.run()
        dialog.destroy()
        if not agreed:
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, None)
    options = {name: config.get_property(name) for name in ("source", "trimap", "band", "hide", "program")}
    try:
        layer, notes = matte(image, drawables, **options)
    except Refused as refused:
        return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, GLib.Error(str(refused)))
    if notes:
        Gimp.message("\n".join(notes))
    values = procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)
    values.remove(1)
    values.insert(1, GObject.Value(Gimp.Layer, layer))
    return values


def matte(image, drawables, *, source, trimap, band, hide, program) -> tuple[Gimp.Layer, list[str]]:
    """A new layer above the selected one, and what hdmatt noted.

    Raises:
        Refused: The picture, the trimap or hdmatt cannot be used; nothing has changed.
    """
    words = find_program(program or "")
    layer = _picture_layer(drawables)
    depth = DEPTHS.get(image.get_precision())
    if depth is None:
        raise Refused(
            "The image's precision is neither 8 nor 16 bit integer, non-linear.\n"
            "Choose it in Image > Encoding; floating point goes through the command line (hdmatt matte, EXR)."
        )
    marks = find_marks(image, layer, source, trimap)
    height, width = layer.get_height(), layer.get_width()
    profile = image.get_color_profile()
    icc = profile.get_icc_profile() if profile else None
    with tempfile.TemporaryDirectory(prefix="hdmatt-") as name:
        folder = Path(name)
        psd = folder / psd_name(height, width, depth)
        Gimp.progress_init("hdmatt: reading the layer")
        size = {"height": height, "width": width}
        _write(folder / "picture.png", layer, (0, 0), (0, 1, 2), size, icc)
        varies = _write(folder / "trimap.png", marks.drawable, marks.corner, marks.channels, size, None)
        if marks.is_mask and not varies:
            raise Refused(f"There is no trimap, and {marks.name} is the same everywhere.\n{_WHAT_TO_DO}")
        Gimp.progress_set_text("hdmatt: computing the matte")
        try:
            notes = run([*words, *arguments(folder, psd=psd, is_mask=marks.is_mask, band=band or "")], _show)
        except Refused as refused:
            raise Refused(str(refused).replace(str(folder / "_")[:-1], "")) from refused
        Gimp.progress_set_text("hdmatt: reading the result")
        hide_profile(psd)
        made = _load(image, layer, psd, hidden=[layer, *marks.layers()] if hide else [])
    Gimp.progress_end()
    Gimp.displays_flush()
    return made, notes


@dataclass(frozen=True)
class Marks:
    """Where the trimap or mask is: channels of a drawable, and the picture's corner (x, y) in it."""

    name: str
    drawable: Gimp.Drawable
    corner: tuple[int, int]
    channels: tuple[int, ...]
    is_mask: bool

    def layers(self) -> list[Gimp.Layer]:
        """The trimap's own layer, which would cover the result."""
        return [self.drawable] if isinstance(self.drawable, Gimp.Layer) and not self.is_mask else []


def find_marks(image, layer, source: str, trimap) -> Marks:
    """The trimap or mask that is meant.

    Raises:
        Refused: There is none, several, or one that does not cover the layer.
    """
    _, x, y = layer.get_offsets()
    selection, mask = image.get_selection(), layer.get_mask()
    if source == "found":
        named = [one for one in _all_layers(image.get_layers()) if _is_trimap(one, layer)]
        if len(named) > 1:
            names = ", ".join(f'"{one.get_name()}"' for one in named)
            raise Refused(
                f"Several layers may be the trimap: {names}.\nChoose one in the dialog, or rename the others."
            )
        if named:
            source, trimap = "drawable", named[0]
        elif not Gimp.Selection.is_empty(image):
            source = "selection"
        elif mask is not None:
            source = "layer-mask"
        else:
            source = "alpha"
    if source == "drawable":
        return _of_drawable(layer, trimap)
    if source == "selection" and not Gimp.Selection.is_empty(image):
        return Marks("the selection", selection, (x, y), (0,), True)
    if source == "layer-mask" and mask is not None:
        return Marks("the layer mask", mask, (0, 0), (0,), True)
    if source == "alpha" and layer.has_alpha():
        return Marks("the layer's transparency", layer, (0, 0), (3,), True)
    missing = {
        "selection": "Nothing is selected.",
        "layer-mask": "The layer has no mask.",
        "alpha": "There is no trimap, no selection, no layer mask, and the layer has no transparency.",
    }
    raise Refused(f"{missing[source]}\n{_WHAT_TO_DO}")


def _picture_layer(drawables) -> Gimp.Layer:
    chosen = [Gimp.Layer.from_mask(one) if isinstance(one, Gimp.LayerMask) else one for one in drawables]
    if len(chosen) != 1 or not isinstance(chosen[0], Gimp.Layer):
        raise Refused("Select one layer: the picture.")
    return chosen[0]


def _is_trimap(one, layer) -> bool:
    return "trimap" in one.get_name().casefold() and one.get_id() != layer.get_id()


def _all_layers(layers) -> Iterator[Gimp.Layer]:
    for layer in layers:
        if layer.is_group():
            yield from _all_layers(layer.get_children())
        else:
            yield layer


def _of_drawable(layer, trimap) -> Marks:
    if trimap is None:
        raise Refused("No trimap is chosen. Choose the layer or channel that holds it.")
    if trimap.get_id() == layer.get_id():
        raise Refused("The selected layer is the trimap itself. Select the picture's layer.")
    (_, x, y), (_, left, top) = layer.get_offsets(), trimap.get_offsets()
    corner = x - left, y - top
    inside = (
        corner[0] + layer.get_width() <= trimap.get_width() and corner[1] + layer.get_height() <= trimap.get_height()
    )
    if min(corner) < 0 or not inside:
        raise Refused(
            f'The trimap "{trimap.get_name()}" does not cover the layer "{layer.get_name()}": '
            f"{trimap.get_width()}x{trimap.get_height()} at {left},{top} "
            f"and {layer.get_width()}x{layer.get_height()} at {x},{y}.\n"
            "Use Layer > Layer to Image Size on the trimap, and fill what is new."
        )
    colours = 3 if trimap.is_rgb() else 1
    return Marks(trimap.get_name(), trimap, corner, tuple(range(colours + trimap.has_alpha())), False)


def _write(path: Path, drawable, corner, wanted, size: dict[str, int], icc: bytes | None) -> bool:
    """Some channels of a drawable as PNG, with the numbers that GIMP stores; whether they are more than one colour."""
    channels = (3 if drawable.is_rgb() else 1) + drawable.has_alpha()
    depth = drawable.get_bpp() // channels
    buffer, all_black, all_white = drawable.get_buffer(), True, True

    def strips() -> Iterator[bytes]:
        nonlocal all_black, all_white
        for y in range(0, size["height"], STRIP):
            rows = min(STRIP, size["height"] - y)
            part = Gegl.Rectangle.new(corner[0], corner[1] + y, size["width"], rows)
            # without a format: the buffer's own, so that nothing is converted
            pixels = buffer.get(part, 1.0, None, Gegl.AbyssPolicy.NONE)
            strip = some_channels(pixels, channels=channels, depth=depth, wanted=wanted)
            all_black, all_white = all_black and not any(strip), all_white and strip.count(255) == len(strip)
            yield strip

    write_png(path, strips(), channels=len(wanted), depth=depth, icc=icc, **size)
    return not (all_black or all_white)


def _load(image, layer, psd: Path, *, hidden: list[Gimp.Layer]) -> Gimp.Layer:
    """The PSD's foreground with its mask, inserted above the layer."""
    loaded = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(str(psd)))
    if loaded is None:
        raise Refused("GIMP could not read the PSD that hdmatt wrote.")
    try:
        profile = image.get_color_profile()
        if profile:
            loaded.set_color_profile(profile)  # what the numbers are; none of them changes
        same = loaded.get_effective_color_profile().is_equal(image.get_effective_color_profile())
        if not same or loaded.get_precision() != image.get_precision():
            raise Refused(
                "The result came back in another colour space than the image's, and would be converted.\n"
                "Look at Preferences > Image Import & Export > Color profile policy: it must keep profiles."
            )
        found = [one for one in loaded.get_layers() if one.get_name() == "foreground" and one.get_mask()]
        if not found:
            raise Refused("The PSD that hdmatt wrote has no layer with a mask.")
        image.undo_group_start()
        try:
            made = Gimp.Layer.new_from_drawable(found[0], image)
            _, x, y = layer.get_offsets()
            made.set_name(f"{layer.get_name()} (hdmatt)")
            image.insert_layer(made, layer.get_parent(), image.get_item_position(layer))
            made.set_offsets(x, y)
            made.set_visible(True)
            for one in hidden:
                one.set_visible(False)
            image.set_selected_layers([made])
        finally:
            image.undo_group_end()
    finally:
        loaded.delete()
    return made


def _show(share: float | None) -> None:
    if share is None:
        Gimp.progress_pulse()
    else:
        Gimp.progress_update(share)


Gimp.main(HDMatt.__gtype__, sys.argv)
