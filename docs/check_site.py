"""A check of the built site: every link, anchor, picture, style and script is there and comes from the site itself.

    python docs/check_site.py site     exit code 1 if one is not

Zensical's strict mode finds pages and anchors that are missing in Markdown; not pictures, nor what HTML names, nor what
a page would load from elsewhere. Links to other sites are fine: a reader follows them or does not.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

LOADED = {"src", "srcset", "poster", "data"}  # attributes whose target a browser fetches by itself
FOLLOWED = {"canonical", "alternate", "next", "prev", "edit"}  # kinds of <link> that it does not fetch


class Reference(NamedTuple):
    """What a page names."""

    target: str
    loaded: bool


class Page(HTMLParser):
    """The references and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[Reference] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := found.get(name))}
        for name, value in found.items():
            if not value:
                continue
            if name in LOADED:
                self.references.append(Reference(value, True))
            elif name == "href":
                fetched = tag == "link" and not FOLLOWED & set((found.get("rel") or "").split())
                self.references.append(Reference(value, fetched))


def complaints(site: Path) -> list[str]:
    """What is wrong, a line each."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [f"{site} has no pages"] if not pages else []
    for path, page in pages.items():
        if path.name == "404.html":  # its links begin with /
            continue
        name = path.relative_to(site.resolve())
        for target, loaded in page.references:
            parts = urlsplit(target)
            if parts.scheme in ("http", "https") or parts.netloc:
                found += [f"{name} loads {target} from elsewhere"] if loaded else []
            elif parts.scheme not in ("", "data", "mailto"):
                found.append(f"{name}: {target} is no link for a page")
            elif not parts.scheme:
                found += missing(path, parts.path, parts.fragment, pages, f"{name}: {target}")
    for path in site.rglob("*.css"):
        loads = re.findall(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)", path.read_text(encoding="utf-8"))
        found += [f"{path.relative_to(site)} loads {target} from elsewhere" for target in loads]
    return sorted(set(found))


def missing(path: Path, target: str, fragment: str, pages: dict[Path, Page], said: str) -> list[str]:
    """What is wrong with a link within the site."""
    place = (path.parent / unquote(target)).resolve() if target else path
    if place.is_dir():
        place = place / "index.html"
    if not place.exists():
        return [f"{said} is not there"]
    anchor = unquote(fragment)
    if anchor and place in pages and anchor not in pages[place].anchors and not anchor.startswith("__"):
        return [f"{said}: there is no such heading"]
    return []


def main(arguments: list[str]) -> int:
    found = complaints(Path(arguments[0] if arguments else "site"))
    for line in found:
        print(line, file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
