"""The ComfyUI nodes on tensors: what hdmatt gives, frame by frame, at full size; and the workflow's form."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

import hdmatt
from hdmatt.network.checkpoint import save_model
from hdmatt.network.config import ModelConfig
from hdmatt.network.model import HDMatt

FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"
WORKFLOW = json.loads((FOLDER / "example_workflows" / "matte.json").read_text(encoding="utf-8"))
OF_COMFYUI = {  # nodes of ComfyUI itself: inputs, outputs, widgets
    "LoadImage": ([], ["IMAGE", "MASK"], 2),
    "LoadImageMask": ([], ["MASK"], 3),
    "MaskToImage": (["MASK"], ["IMAGE"], 0),
    "PreviewImage": (["IMAGE"], [], 0),
    "SaveImage": (["IMAGE"], [], 1),
}
WIDGETS = ("STRING", "BOOLEAN")


@pytest.fixture(scope="module")
def nodes():
    """The folder as ComfyUI loads it: a module of any name, from its path."""
    spec = importlib.util.spec_from_file_location(
        "custom_nodes_hdmatt", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in [name for name in sys.modules if name.startswith(spec.name)]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(HDMatt(ModelConfig(width=4)), path, half=True)
    return str(path)


@pytest.fixture(scope="module")
def frames():
    """Two frames of a soft disc that moves: IMAGE, and its MASK."""
    y, x = np.mgrid[:80, :104].astype(np.float32)
    discs = [((30 - np.hypot(y - 40, x - at)) / 4).clip(0, 1) for at in (48, 56)]
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 80, 104, 3, generator=generator), torch.from_numpy(np.stack(discs))


def run(nodes, kind, **inputs):
    """A node as ComfyUI runs it: the method that FUNCTION names, by keywords, in inference mode."""
    node = nodes.NODE_CLASS_MAPPINGS[kind]()
    with torch.inference_mode():
        return getattr(node, node.FUNCTION)(**inputs)


def test_the_trimap_of_every_frame_is_what_make_trimap_gives(nodes, frames):
    _, masks = frames
    (trimaps,) = run(nodes, "HDMattTrimap", mask=masks, band="6", inside="4")
    assert trimaps.shape == masks.shape and trimaps.dtype == torch.float32
    for trimap, mask in zip(trimaps, masks, strict=True):
        wanted = hdmatt.make_trimap(mask.numpy(), band="6", inside="4")
        # ComfyUI saves by np.clip(255 * image, 0, 255).astype(uint8)
        np.testing.assert_array_equal(np.clip(255.0 * trimap.numpy(), 0, 255).astype(np.uint8), wanted)


def test_the_automatic_band_looks_at_the_image(nodes, frames, weights):
    images, masks = frames
    (trimap,) = run(nodes, "HDMattTrimap", mask=masks[:1], band="auto", image=images[:1], model=weights, device="cpu")
    network = hdmatt.NetworkChoice(weights, device="cpu")
    wanted = hdmatt.make_trimap(masks[0].numpy(), images[0].numpy(), network=network)
    np.testing.assert_array_equal((trimap[0] * 255).round().numpy(), wanted)
    with pytest.raises(ValueError, match="an automatic band needs the picture"):
        run(nodes, "HDMattTrimap", mask=masks, band="auto")


def test_the_matte_of_every_frame_is_what_matte_gives(nodes, frames, weights):
    images, masks = frames
    (trimaps,) = run(nodes, "HDMattTrimap", mask=masks, band="6")
    with_alpha = torch.cat([images, torch.zeros(2, 80, 104, 1)], 3)  # which is ignored
    (mattes,) = run(nodes, "HDMattMatte", image=with_alpha, trimap=trimaps, model=weights, device="cpu")
    assert mattes.shape == (2, 80, 104) and mattes.dtype == torch.float32 and mattes.device.type == "cpu"
    network = hdmatt.NetworkChoice(weights, device="cpu")
    for matte, image, trimap in zip(mattes, images, trimaps, strict=True):
        np.testing.assert_array_equal(matte, hdmatt.matte(image, trimap, network=network).alpha)
        assert (matte[trimap == 1] == 1).all() and (matte[trimap == 0] == 0).all()
    (of_one,) = run(nodes, "HDMattMatte", image=images, trimap=trimaps[:1], model=weights, device="cpu")
    assert len(of_one) == 2 and torch.equal(of_one[0], mattes[0])  # one trimap serves all frames


def test_the_foreground_of_every_frame_is_what_a_matte_gives(nodes, frames):
    images, masks = frames
    colours, cutouts = run(nodes, "HDMattForeground", image=images, matte=masks)
    _, clean = run(nodes, "HDMattForeground", image=images, matte=masks, clean=True)
    for i in range(2):
        matte = hdmatt.Matte(masks[i].numpy(), images[i].numpy())
        np.testing.assert_array_equal(colours[i], matte.foreground())
        np.testing.assert_array_equal(cutouts[i], matte.cutout())
        np.testing.assert_array_equal(clean[i], matte.cutout(clean=True))


@pytest.mark.parametrize(
    ("image", "mask", "says"),
    [
        ((1, 80, 104, 3), (1, 40, 52), "the trimap is 52x40 but the image is 104x80. A mask is never resized"),
        ((1, 80, 104, 3), (1, 64, 64), "LoadImage gives this empty mask"),
        ((3, 80, 104, 3), (2, 80, 104), "2 frames of the trimap but 3 of the image"),
        ((1, 80, 104, 3), (1, 1, 80, 104), "the trimap has shape"),
        ((80, 104, 3), (80, 104), "the image has shape"),
        ((1, 80, 104, 1), (1, 80, 104), "the image has shape"),
    ],
)
def test_what_does_not_fit_is_refused(nodes, image, mask, says):
    with pytest.raises(ValueError, match=f"^hdmatt: .*{says}"):
        run(nodes, "HDMattMatte", image=torch.zeros(image), trimap=torch.zeros(mask))


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ({"model": "nobody"}, "nobody"),
        ({"memory": "much"}, "much"),
        ({"device": "toaster"}, "toaster"),
    ],
)
def test_an_error_of_hdmatt_comes_with_its_hint(nodes, frames, inputs, says):
    images, masks = frames
    with pytest.raises(ValueError, match=f"^hdmatt: .*{says}.*\\. .+"):
        run(nodes, "HDMattMatte", image=images, trimap=masks, **inputs)


def test_comfyuis_bar_moves_from_frame_to_frame_and_can_stop_the_node(nodes, frames, weights, monkeypatch):
    images, masks = frames
    seen = []

    class ProgressBar:
        def __init__(self, total):
            seen.append(total)

        def update_absolute(self, value):
            seen.append(value)
            if stop:
                raise InterruptedError("cancelled")

    utils = ModuleType("comfy.utils")
    vars(utils).update(ProgressBar=ProgressBar)
    monkeypatch.setitem(sys.modules, "comfy", SimpleNamespace(utils=utils))
    monkeypatch.setitem(sys.modules, "comfy.utils", utils)
    stop = False
    inputs = {"image": images, "trimap": (masks * 2).round() / 2, "model": weights, "device": "cpu"}
    run(nodes, "HDMattMatte", **inputs)
    assert seen[0] == 200 and seen[-1] == 200 and 100 in seen and seen[1:] == sorted(seen[1:])
    stop = True
    with pytest.raises(InterruptedError, match="cancelled"):
        run(nodes, "HDMattMatte", **inputs)


def test_every_node_says_what_comfyui_asks_of_it(nodes):
    for name, kind in nodes.NODE_CLASS_MAPPINGS.items():
        assert nodes.NODE_DISPLAY_NAME_MAPPINGS[name].endswith("(hdmatt)")
        assert callable(getattr(kind, kind.FUNCTION)) and kind.CATEGORY and kind.DESCRIPTION
        assert len(kind.RETURN_TYPES) == len(kind.RETURN_NAMES) == len(kind.OUTPUT_TOOLTIPS)
        inputs = kind.INPUT_TYPES()
        assert list(inputs) == ["required", "optional"]
        for of_type, *settings in [*inputs["required"].values(), *inputs["optional"].values()]:
            assert of_type in ("IMAGE", "MASK", *WIDGETS)
            assert of_type not in WIDGETS or "default" in settings[0]


def test_every_node_of_the_workflow_is_there_with_its_slots_and_widgets(nodes):
    for node in WORKFLOW["nodes"]:
        if node["type"] in OF_COMFYUI:
            inputs, outputs, widgets = OF_COMFYUI[node["type"]]
        else:
            kind = nodes.NODE_CLASS_MAPPINGS[node["type"]]
            asked = [entry for part in kind.INPUT_TYPES().values() for entry in part.items()]
            inputs = [entry[0] for _, entry in asked if entry[0] not in WIDGETS]
            names = [name for name, entry in asked if entry[0] not in WIDGETS]
            outputs, widgets = list(kind.RETURN_TYPES), len(asked) - len(inputs)
            assert [slot["name"] for slot in node["inputs"]] == names
            assert [slot["name"] for slot in node["outputs"]] == list(kind.RETURN_NAMES)
        assert [slot["type"] for slot in node["inputs"]] == inputs
        assert [slot["type"] for slot in node["outputs"]] == outputs
        assert len(node["widgets_values"]) == widgets
    assert {node["type"] for node in WORKFLOW["nodes"]} == {*OF_COMFYUI, *nodes.NODE_CLASS_MAPPINGS}


def test_the_folder_gets_a_name_that_hides_no_module():
    """Older versions of ComfyUI make a module of the bare name of a folder in custom_nodes."""
    pages = [FOLDER / "README.md", FOLDER.parents[1] / "docs" / "programs.md"]
    names = [re.findall(r"custom_nodes/([\w-]+)", page.read_text(encoding="utf-8")) for page in pages]
    assert all(names) and {importlib.util.find_spec(name) for name in [*names[0], *names[1]]} == {None}


def test_every_link_of_the_workflow_joins_two_slots_of_its_type():
    by_id = {node["id"]: node for node in WORKFLOW["nodes"]}
    assert len(by_id) == len(WORKFLOW["nodes"]) and max(by_id) == WORKFLOW["last_node_id"]
    links = {link[0]: link for link in WORKFLOW["links"]}
    assert len(links) == len(WORKFLOW["links"]) and max(links) == WORKFLOW["last_link_id"]
    for link, source, slot, target, place, of_type in WORKFLOW["links"]:
        leaves, arrives = by_id[source]["outputs"][slot], by_id[target]["inputs"][place]
        assert link in leaves["links"] and arrives["link"] == link
        assert leaves["type"] == arrives["type"] == of_type
        assert by_id[source]["order"] < by_id[target]["order"]
    ends = [slot["link"] for node in WORKFLOW["nodes"] for slot in node["inputs"]]
    starts = [link for node in WORKFLOW["nodes"] for slot in node["outputs"] for link in slot["links"]]
    assert sorted(ends) == sorted(starts) == sorted(links)
