"""What a check of the trimap finds, in words that a person can act on, one entry for each place.

Knows sessions and findings; nothing of requests.

    problems_of    a session -> what its page lists and jumps through
"""

import tempfile
from pathlib import Path
from typing import Any

from hdmatt.studio.session import Session
from hdmatt.trimaps.check import check_trimap
from hdmatt.trimaps.findings import Place

TITLES = {  # of findings that have places
    "antialiased": "neither background nor unknown nor foreground",
    "border": "unknown at the picture's rim",
    "contact": "foreground beside background, with nothing unknown between",
    "contradicted": "known, but the matte says otherwise",
    "islands": "a small known spot in the unknown",
    "pinholes": "a small unknown hole",
    "soft-contact": "foreground beside background at a soft edge",
    "specks": "a speck of the wrong label",
    "thin": "a very narrow unknown border",
}


def problems_of(session: Session) -> list[dict[str, Any]]:
    """Findings of a check of a session's trimap, one entry for each place."""
    with tempfile.TemporaryDirectory() as folder:  # a file is read in bands; an array of it may be large
        trimap = Path(folder) / "trimap.png"
        session.save_trimap(trimap)
        found = check_trimap(trimap, session.path, input_options=session.input_options)
    return [
        {
            "name": finding.name,
            "title": TITLES.get(finding.name, finding.name.replace("-", " ")),
            "severity": finding.severity,
            "text": f"{finding.message}. {finding.advice}",
            "box": [place.y0, place.x0, place.y1, place.x1] if place else None,
            "where": _where(place, session.height, session.width) if place else "",
        }
        for finding in found.findings
        for place in finding.places or (None,)
    ]


def _where(place: Place, height: int, width: int) -> str:
    """The part of the picture that a place lies in, and its size: "top left, 12 pixels"."""
    third = 3 * (place.y0 + place.y1) // (2 * height), 3 * (place.x0 + place.x1) // (2 * width)
    words = [("top", "", "bottom")[third[0]], ("left", "", "right")[third[1]]]
    pixels = "1 pixel" if place.count == 1 else f"{place.count} pixels"
    return f"{' '.join(filter(None, words)) or 'middle'}, {pixels}"
