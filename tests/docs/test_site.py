"""The documentation site: all pages are in its navigation, all public names in its API, and it builds strictly."""

import re
import shutil
import subprocess
import sys
import tomllib
from html import unescape

import pytest
import snippets
import yaml

import hdmatt

ROOT = snippets.ROOT
NAMES = [
    "Start here",
    "Trimaps that work",
    "Large pictures",
    "Colour",
    "Folders and clusters",
    "Studio",
    "Photoshop, GIMP, Nuke, Blender, ComfyUI",
    "Train your own",
    "Measure",
    "The paper",
    "How it works",
    "CLI",
    "API",
    "Questions",
    "Limits and known failures",
]
FOR_DEVELOPERS = {"dev", "docs", "release"}


def navigation():
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]


def files(entries):
    for entry in entries:
        for what in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [what] if isinstance(what, str) else files(what)


def test_the_navigation_has_every_page_once():
    assert [next(iter(entry)) for entry in navigation()] == NAMES
    assert sorted(files(navigation())) == sorted(path.name for path in ROOT.glob("docs/*.md"))


def test_no_page_links_to_a_file_outside_of_the_site():
    """Such a file is named as code: `research/log.md`."""
    links = {
        path.name: re.findall(r"\]\((\.\./[^)]*)\)", path.read_text(encoding="utf-8"))
        for path in ROOT.glob("docs/*.md")
    }
    assert {name: found for name, found in links.items() if found} == {}


def test_every_public_name_is_in_the_api():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: hdmatt\.(\w+)$", page, re.MULTILINE)) == sorted(hdmatt.__all__)


def test_the_first_page_names_every_extra_that_is_for_users():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    table = page.partition("| extra | for |")[2].partition("\n\n")[0]
    cells = " ".join(line.split("|")[1] for line in table.splitlines() if line.count("|") > 2)
    assert sorted(re.findall(r"`(\w+)`", cells)) == sorted({*project["optional-dependencies"]} - FOR_DEVELOPERS)


def test_there_are_fifty_questions_each_with_a_short_answer_and_a_command():
    page = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
    answers = re.split(r"^### .*\n", page, flags=re.MULTILINE)[1:]
    assert len(answers) == 50
    for answer in answers:
        text = re.sub(r"<!--.*?-->", "", answer.partition("```")[0]).strip()
        assert "```" in answer and len(text.splitlines()) <= 3, text


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ('<a href="there.html">', "there.html is not there"),
        ('<a href="other.html#nothing">', "there is no such heading"),
        ('<img src="picture.png">', "picture.png is not there"),
        ('<img src="https://example.org/a.png">', "from elsewhere"),
        ('<link rel="stylesheet" href="https://example.org/a.css">', "from elsewhere"),
        ('<script src="//example.org/a.js"></script>', "from elsewhere"),
        ('<a href="javascript:void(0)">', "no link for a page"),
    ],
)
def test_the_check_of_the_site_finds(script, tmp_path, broken, said):
    (tmp_path / "other.html").write_text('<h1 id="here">other</h1><a href="https://example.org">fine</a>')
    (tmp_path / "index.html").write_text(f'<a href="other.html#here">fine</a>{broken}')
    (found,) = script("docs.check_site").complaints(tmp_path)
    assert said in found


@pytest.mark.release
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "src").symlink_to(ROOT / "src")
    build = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    check = [sys.executable, str(ROOT / "docs" / "check_site.py"), str(tmp_path / "site")]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    api = unescape((tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8"))
    assert all(f'id="hdmatt.{name}"' in api for name in hdmatt.__all__)


def test_the_pages_made_by_scripts_are_up_to_date(script):
    assert script("docs.cli_page").main(["--check"]) == 0
