"""hdmatt.studio.works: the list of what runs is the same for all, and empty once nothing runs."""

from hdmatt.studio.works import Works


def told():
    """Works, and every list that was published."""
    lists = []
    return Works(lambda kind, **values: lists.append((kind, values))), lists


def test_a_work_is_listed_from_the_moment_it_is_asked_for_until_its_end():
    works, lists = told()
    works.ask("export", "one")
    works.tell("export", 2, 6, 4.04)
    assert works.end("export")
    listed = [values["works"] for _, values in lists]
    first = {"what": "export", "client": "one", "cancelled": False, "done": 0, "of": 1, "seconds_left": None}
    assert listed == [[first], [{**first, "done": 2, "of": 6, "seconds_left": 4.0}]]
    assert works.listed() == []


def test_what_somebody_asked_for_is_first_and_what_was_cancelled_says_so():
    works, lists = told()
    works.tell("matte", 1, 6, 43.0)
    works.ask("start", "one")
    assert [work["what"] for work in works.listed()] == ["start", "matte"]
    works.cancel()
    assert [(work["what"], work["cancelled"]) for work in works.listed()] == [("start", True), ("matte", False)]
    assert lists[-1][1]["works"] == works.listed()


def test_a_cancel_ends_what_was_asked_for_before_it_and_nothing_later():
    works, _ = told()
    first, second = works.ask("start", "one"), works.ask("export", "two")
    assert works.cancel() and first.is_set() and second.is_set()
    assert not works.ask("start", "two").is_set()
    assert first.is_set()
    works.end("start", "export")
    assert not works.cancel()


def test_an_interrupted_work_leaves_the_list():
    works, _ = told()
    works.tell("matte", 1, 6, 43.0)
    assert works.end("matte", "refresh") and works.listed() == []
    assert not works.end("matte", "refresh")
