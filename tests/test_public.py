"""What is public is shown, what is shown is public, and neither changes without this page."""

import ast
import inspect
import re
from pathlib import Path

import pytest
import snippets

import hdmatt

ROOT = Path(__file__).parents[1]
SHOWN = sorted([ROOT / "README.md", ROOT / "examples" / "demo.py", *ROOT.glob("docs/*.md")])
FIELDS = {  # what is built or read by a caller
    "Attention": "y x query cell kind form patches similarity_K scores_K candidates regions weights_RKHW lost_R "
    "labels_KHW values_KHWV",
    "Finding": "name severity message advice count share places",
    "InputOptions": "layer transfer max_pixels",
    "MaskSource": "file layer scribbles box rembg fit",
    "BatchOptions": "trimaps masks band inside outside fit manifest listed root sequence frames shard skip_unmatched "
    "overwrite redo max_failures workers threads ray ledger",
    "BatchResult": "name picture outputs state reason hint now seconds warnings summary seconds_left",
    "Matte": "alpha picture linear notes matte_for",
    "NetworkChoice": "model runtime precision device",
    "Options": "patch overlap topk candidates windows blend small_first memory batch mixing whole_picture",
    "Outputs": "alpha foreground cutout composite background bit_depth psd clean layered plate quality "
    "matte_range invert alpha_mode trim despill matte_for palette",
    "Place": "y0 x0 y1 x1 count",
    "RunForecast": "width height unknown_share patches context_pool windows blend small_first batch expected_memory "
    "memory_limit model strategy device runtime precision layer trimap_layer data_window "
    "patches_on_grid encodes cached cache_bytes expected_seconds",
    "RunSummary": "width height unknown_share patches context_pool windows blend small_first batch expected_memory "
    "memory_limit model strategy device runtime precision layer trimap_layer data_window "
    "snapped encoded cache_hits cache_misses seconds network_seconds peak_memory outputs notes trim mixing matte_for",
    "Scores": "sad mse grad conn mad seam",
    "Stroke": "kind label points amount",
    "TrimapCheck": "width height background_share unknown_share foreground_share findings",
}
PARAMETERS = {
    "check_trimap": "trimap picture matte * input_options",
    "attend": "picture trimap * y x options network linear input_options",
    "batch": "inputs out * outputs options network strategy input_options batch_options",
    "load_model": "name",
    "make_trimap": "mask picture * band inside outside network input_options",
    "matte": "picture trimap * options network strategy linear input_layer transfer max_pixels matte_for progress",
    "matte_files": "picture trimap outputs * options network strategy input_options progress",
    "plan_files": "picture trimap outputs * options network strategy input_options",
    "score": "prediction truth trimap * borders band",
}
METHODS = {
    "Matte": {"foreground", "cutout", "composite"},
    "Options": {"paper"},
    "Stroke": {"of", "values", "box"},
    "Outputs": {"paths", "colours", "original", "continued"},
}
CLASSES = {  # that change while they are used: their methods and properties
    "Session": "alpha close composite computed export foreground known levels paint pending picture pixels put redo "
    "refresh refreshed save_trimap snapshot stale steps strokes trimap undo update waiting",
}
ERRORS = {
    "HDMattError": Exception,
    "InputError": "HDMattError",
    "MemoryLimitError": "InputError",
    "ModelError": "InputError",
    "NoUnknownWarning": UserWarning,
    "InexactWarning": UserWarning,
    "MaskWarning": UserWarning,
    "OutputError": "InputError",
}


def test_the_public_names_are_these():
    assert hdmatt.__all__ == sorted({*FIELDS, *PARAMETERS, *CLASSES, *ERRORS})
    assert set(hdmatt.__all__) <= set(dir(hdmatt))
    with pytest.raises(AttributeError, match="no attribute 'engine'"):
        hdmatt.engine  # noqa: B018


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_public_function_has_these_parameters(name):
    found = inspect.signature(getattr(hdmatt, name)).parameters.values()
    kinds = [parameter.kind == parameter.KEYWORD_ONLY for parameter in found]
    names = [parameter.name for parameter in found]
    if True in kinds:
        names.insert(kinds.index(True), "*")
    assert " ".join(names) == PARAMETERS[name] and len(kinds) <= (12 if name == "matte" else 8)


@pytest.mark.parametrize("name", FIELDS)
def test_a_public_class_has_these_fields_and_is_frozen(name):
    kind = getattr(hdmatt, name)
    assert " ".join(field for field in kind.__dataclass_fields__ if field[0] != "_") == FIELDS[name]
    assert kind.__dataclass_params__.frozen
    assert METHODS.get(name, set()) <= set(dir(kind))


@pytest.mark.parametrize("name", CLASSES)
def test_a_public_class_that_changes_has_these_methods(name):
    assert " ".join(member for member in dir(getattr(hdmatt, name)) if member[0] != "_") == CLASSES[name]


def test_what_a_caller_catches_is_one_tree():
    for name, base in ERRORS.items():
        base = getattr(hdmatt, base) if isinstance(base, str) else base
        assert issubclass(getattr(hdmatt, name), base)


@pytest.mark.parametrize("name", hdmatt.__all__)
def test_every_public_name_is_explained(name):
    text = inspect.getdoc(getattr(hdmatt, name)) or ""
    assert len(text.split()) >= 5 and not text.startswith(f"{name}("), text
    assert re.search(rf"\b{name}\b", hdmatt.__doc__ or "")


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_what_is_shown_is_public(page):
    in_markdown = [one.text for one in snippets.snippets(page) if one.language == "python"]
    for block in in_markdown if page.suffix == ".md" else [page.read_text(encoding="utf-8")]:
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert all(not alias.name.startswith("hdmatt.") for alias in node.names), ast.unparse(node)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hdmatt":
                assert node.module == "hdmatt", ast.unparse(node)
                assert {alias.name for alias in node.names} <= set(hdmatt.__all__), ast.unparse(node)
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "hdmatt":
                assert node.attr in hdmatt.__all__, ast.unparse(node)


def test_a_call_in_the_pages_has_the_parameters_that_the_function_has():
    """`hdmatt.matte(..., network=...)` in a text, too, not only in a block of code."""
    for page in SHOWN:
        for name, arguments in re.findall(r"hdmatt\.(\w+)\(([^()]*)", page.read_text(encoding="utf-8")):
            known = set(inspect.signature(getattr(hdmatt, name)).parameters)
            assert set(re.findall(r"\b(\w+)=", arguments)) <= known, (page.name, name, arguments)
