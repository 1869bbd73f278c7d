"""A summary that travelled as JSON is the same summary."""

import json
from dataclasses import MISSING, asdict, fields
from typing import get_type_hints

from hdmatt.inference.summary import RunSummary

PLAIN = {int: 3, float: 0.5, str: "cpu", bool: True, list[str]: ["one", "two"]}


def summary(**more):
    hints = get_type_hints(RunSummary)
    needed = {one.name: PLAIN.get(hints[one.name]) for one in fields(RunSummary) if one.default is MISSING}
    return RunSummary(**{**needed, **more})


def test_a_summary_comes_back_from_json_with_its_tuples():
    for made in (summary(), summary(data_window=(1, 2, 30, 40), trim=(0, 1, 2, 3), matte_for="linear")):
        assert RunSummary.of(json.loads(json.dumps(asdict(made)))) == made


def test_fields_of_other_versions_are_left_out_and_something_else_is_no_summary():
    assert RunSummary.of({**asdict(summary()), "colour_of_the_year": 3}) == summary()
    assert RunSummary.of({}) is None
    assert RunSummary.of({"outputs": ["a.png"]}) is None
