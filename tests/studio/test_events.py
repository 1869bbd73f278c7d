"""hdmatt.studio.events: nothing is missed, nothing is told twice, and a server can stop."""

import asyncio
import json

from hdmatt.studio import events
from hdmatt.studio.events import Events


def told(stream, most):
    """The next events of a stream, without its first line."""

    async def collect():
        found = []
        async for line in stream:
            if line.startswith("id:"):
                number, data = line.splitlines()[:2]
                assert json.loads(data[6:])["id"] == int(number[4:])
                found.append(json.loads(data[6:])["type"])
            if len(found) == most:
                break
        await stream.aclose()
        return found

    return asyncio.run(collect())


def test_a_listener_hears_what_comes_and_a_returning_one_what_it_missed():
    one = Events(first=10)
    for kind in ("a", "b", "c"):
        one.publish(kind)
    assert told(one.stream(10), 2) == ["b", "c"]
    one.close()
    assert told(one.stream(None), 1) == []  # a new listener has no past


def test_what_is_forgotten_or_from_another_start_is_told_as_lost():
    one = Events(first=10)
    for number in range(events._KEPT + 5):
        one.publish(str(number))
    one.close()
    assert told(one.stream(12), 2) == ["lost", "5"]
    assert told(one.stream(10**15), 2) == ["lost", "5"]
    assert told(one.stream(14), 1) == ["5"]


def test_events_of_another_thread_arrive_and_closing_ends_the_stream():
    one = Events()

    async def listen():
        found = []
        stream = one.stream(None)
        assert (await anext(stream)).startswith("retry")
        await asyncio.to_thread(one.publish, "a")
        await asyncio.to_thread(one.close)
        async for line in stream:
            found.append(json.loads(line.splitlines()[1][6:])["type"])
        return found

    assert asyncio.run(listen()) == ["a"] and not one._listeners
