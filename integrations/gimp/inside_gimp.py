"""What try_gimp.py lets GIMP do: one case after the other, through the plug-in's procedure, as a script of GIMP would.

GIMP runs it (python-fu-eval). The folder of the environment variable EXCHANGE has cases.json. For each case the numbers
that GIMP stores afterwards are written there, without any conversion, and what GIMP shows as PNG.
"""

import json
import os
import traceback
from pathlib import Path

from gi.repository import Gegl, Gimp, Gio

FOLDER = Path(os.environ["EXCHANGE"])


def stored(drawable, path):
    """The numbers of a drawable, in its own format."""
    whole = Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height())
    path.write_bytes(drawable.get_buffer().get(whole, 1.0, None, Gegl.AbyssPolicy.NONE))


def opened(name):
    return Gio.File.new_for_path(str(FOLDER / name))


def run(case):
    image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, opened(case["picture"]))
    layer = image.get_layers()[0]
    if case.get("trimap"):
        trimap = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, opened(case["trimap"]))
        trimap.set_name("Trimap")
        image.insert_layer(trimap, None, 0)
        if case.get("moved"):
            trimap.set_offsets(5, 0)
    if case.get("canvas"):  # larger than the layer, which lies somewhere in it
        image.resize(*case["canvas"])
        layer.set_offsets(*case["at"])
    if case.get("ellipse"):
        Gimp.context_set_antialias(True)
        image.select_ellipse(Gimp.ChannelOps.REPLACE, *case["ellipse"])
        stored(image.get_selection(), FOLDER / f"{case['name']}.selection")
    if case.get("as_mask"):
        layer.add_mask(layer.create_mask(Gimp.AddMaskType.SELECTION))
        Gimp.Selection.none(image)
        stored(layer.get_mask(), FOLDER / f"{case['name']}.selection")
    if case.get("precision"):
        image.convert_precision(getattr(Gimp.Precision, case["precision"]))
    config = Gimp.get_pdb().lookup_procedure("plug-in-hdmatt").create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("image", image)
    config.set_core_object_array("drawables", [layer])
    for name, value in case.get("options", {}).items():
        config.set_property(name, value)
    values = Gimp.get_pdb().lookup_procedure("plug-in-hdmatt").run(config)
    message = Gimp.get_pdb().get_last_error()  # the next call replaces it
    result = {"status": values.index(0).value_nick, "precision": image.get_precision().value_nick}
    if result["status"] != "success":
        return {**result, "message": message}
    made = values.index(1)
    stored(made, FOLDER / f"{case['name']}.layer")
    stored(made.get_mask(), FOLDER / f"{case['name']}.mask")
    result |= {"size": [made.get_height(), made.get_width()], "at": list(made.get_offsets())[1:]}
    result |= {"layers": [f"{one.get_name()}{'' if one.get_visible() else ' (hidden)'}" for one in image.get_layers()]}
    Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, opened(f"{case['name']}-shown.png"), None)
    image.delete()
    return result


def main():
    cases = json.loads((FOLDER / "cases.json").read_text())
    results = {"gimp": Gimp.version()}
    for case in cases:
        try:
            results[case["name"]] = run(case)
        except Exception:  # GIMP would wait for ever after a script that fails
            results[case["name"]] = {"status": "script", "message": traceback.format_exc()}
        (FOLDER / "results.json").write_text(json.dumps(results))


main()
