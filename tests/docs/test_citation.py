"""CITATION.cff names this version and has what its format asks for. (`cffconvert --validate` knows all rules.)"""

import tomllib

import snippets
import yaml

ROOT = snippets.ROOT
REQUIRED = {"cff-version", "message", "title", "authors"}
OURS = {"type", "abstract", "version", "license", "keywords", "references"}
PERSON = ({"family-names", "given-names"}, {"name"})  # or a group


def test_the_citation_has_the_keys_of_its_format():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0" and set(citation) == REQUIRED | OURS and citation["type"] == "software"
    assert len(citation["keywords"]) == len(set(citation["keywords"]))
    for work in (citation, *citation["references"]):
        assert work["title"] and work["authors"] and all(set(author) in PERSON for author in work["authors"])
    for reference in citation["references"]:
        assert reference["type"] == "conference-paper" and isinstance(reference["year"], int)


def test_one_version_stands_in_the_citation_the_package_the_changelog_and_the_first_page():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"] and citation["license"] == project["license"]
    assert f"\n## {project['version']}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first_page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert f"pip install hdmatt-{project['version']}-py3-none-any.whl" in first_page
