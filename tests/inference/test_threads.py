import threading

import pytest

from hdmatt.inference.threads import WriteQueue, map_in_order, prefetch


def names():
    return {thread.name.split("_")[0] for thread in threading.enumerate()}


def test_items_come_in_order_and_are_made_in_another_thread():
    made = []

    def items():
        for i in range(20):
            made.append(threading.current_thread())
            yield i

    assert list(prefetch(items(), depth=3)) == list(range(20))
    assert set(made) and threading.current_thread() not in made
    assert "hdmatt-prefetch" not in names()


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_than_depth_items_are_made_before_they_are_asked_for(depth):
    made = []
    items = prefetch((made.append(i) or i for i in range(50)), depth=depth)
    for taken in range(1, 20):
        next(items)
        assert len(made) <= taken + depth
    items.close()
    assert len(made) <= 19 + depth
    assert "hdmatt-prefetch" not in names()


def test_an_exception_arrives_where_its_item_would():
    def items():
        yield 1
        yield 2
        raise OSError("damaged")

    seen = []
    with pytest.raises(OSError, match="damaged"):
        for item in prefetch(items(), depth=4):
            seen.append(item)
    assert seen == [1, 2]


def test_calls_are_done_in_order_and_all_of_them():
    done, started = [], threading.Event()
    with WriteQueue() as behind:
        behind.submit(started.wait, 10)
        started.set()
        for i in range(50):
            behind.submit(done.append, i)
    assert done == list(range(50))
    assert "hdmatt-writer" not in names()


def test_a_call_that_fails_is_told_at_the_latest_when_the_block_ends():
    def fail():
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), WriteQueue() as behind:
        behind.submit(fail)
    with pytest.raises(OSError, match="disk full"), WriteQueue(depth=1) as behind:
        behind.submit(fail)
        for _ in range(3):
            behind.submit(int)
    assert "hdmatt-writer" not in names()


def test_a_block_that_fails_drops_what_has_not_begun():
    done, go = [], threading.Event()
    with pytest.raises(KeyboardInterrupt), WriteQueue(depth=3) as behind:
        behind.submit(go.wait, 10)
        behind.submit(done.append, 1)
        threading.Timer(0.05, go.set).start()
        raise KeyboardInterrupt
    assert done == []


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_mapping_in_order_keeps_the_order_and_gives_each_item_to_its_thread(threads):
    turns = max(threads, 1)
    items = [(None if i % 4 == 3 else i % turns, i) for i in range(40)]
    where = {}

    def work(n, item):
        where.setdefault(n, set()).add(threading.current_thread())
        return n, item

    found = list(map_in_order(iter(items), work, threads=threads))
    assert found == [(i, None if n is None else (n, i)) for n, i in items]
    assert all(len(used) == 1 for used in where.values())
    assert len(set.union(*where.values())) == turns
    assert (threading.current_thread() in set.union(*where.values())) == (threads == 0)
    assert not any(name.startswith("hdmatt-worker") for name in names())


def test_no_thread_has_more_than_depth_items_under_way():
    asked, taken = [], []

    def items():
        for i in range(30):
            asked.append(i)
            under_way = [j for j in asked if j not in taken]
            assert all(sum(j % 3 == n for j in under_way) <= 2 for n in range(3))
            yield i % 3, i

    for item, _ in map_in_order(items(), lambda n, item: item, threads=3, depth=2):
        taken.append(item)
    assert taken == list(range(30))


def test_the_first_exception_in_the_items_order_is_the_one_that_arrives():
    second_failed, closed = threading.Event(), []

    def items():
        try:
            for i in range(9):
                yield i % 2, i
        finally:
            closed.append(True)

    def work(n, item):
        if item == 2:
            second_failed.wait(10)
            raise OSError("first")
        if item == 3:
            second_failed.set()
            raise KeyError("second")
        return item

    seen = []
    with pytest.raises(OSError, match="first"):
        for item, _ in map_in_order(items(), work, threads=2):
            seen.append(item)
    assert seen == [0, 1] and closed
    assert not any(name.startswith("hdmatt-worker") for name in names())
