"""docs/large.md says what was measured."""

import json

from benchmarks import option_costs


def test_the_table_of_the_page_is_that_of_the_record():
    page = option_costs.PAGE.read_text(encoding="utf-8")
    record = json.loads(option_costs.RESULTS.read_text(encoding="utf-8"))
    assert option_costs.with_table(page, record) == page
    assert [row["typed"] for row in record["rows"]] == [typed for typed, _ in option_costs.LINES]
