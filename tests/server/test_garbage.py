"""Garbage is collected in steps that look at little, and sockets leave none."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from resolvers.context import Runtime
from server.garbage import GarbageCollector, collect_in_steps
from tests.attacks.sockets import open_sockets
from tests.support.api_client import build_silent_app, serve_app
from tests.support.processes import until

MANY = 1_000_000


class Node:
    """An object that is garbage only to the collector."""

    def __init__(self) -> None:
        self.itself = self


async def make_objects(number: int) -> list[list[Node]]:
    """As sockets come: some at once, and others in between."""
    made = []
    for _ in range(number // 5_000):
        made.append([Node() for _ in range(5_000)])
        await asyncio.sleep(0.001)
    return made


@contextmanager
def watch_collections(most: list[int]) -> Iterator[None]:
    """Note how many objects each full collection looks at."""

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            most.append(len(gc.get_objects()))

    gc.callbacks.append(note)
    try:
        yield
    finally:
        gc.callbacks.remove(note)


async def test_what_stays_is_looked_at_in_small_parts() -> None:
    # given a process that collects in steps
    looked_at: list[int] = []
    with collect_in_steps():
        exempted = gc.get_freeze_count()
        # when a million objects come to stay
        with watch_collections(looked_at):
            made = await make_objects(MANY)
            await asyncio.sleep(0.2)
        # then each step looked at a part of them, and most are exempted by now
        assert len(looked_at) >= 5
        assert max(looked_at) < MANY / 3
        assert gc.get_freeze_count() - exempted > MANY / 2
    assert len(made) == MANY / 5_000


async def test_garbage_that_was_exempted_goes_in_an_idle_moment() -> None:
    with collect_in_steps(GarbageCollector(growth=100_000, look_seconds=0.2)):
        # given objects that were exempted
        exempted = gc.get_freeze_count()
        made = await make_objects(400_000)
        first = weakref.ref(made[0][0])
        await until(lambda: gc.get_freeze_count() - exempted > 200_000, 10)
        # when they become garbage
        made.clear()
        assert first() is not None
        more = await make_objects(200_000)
        # then they are found, as soon as enough has been exempted again and the process is idle
        await until(lambda: first() is None, 20)
        assert more


async def test_afterwards_python_collects_as_ever() -> None:
    before = gc.get_threshold()
    with collect_in_steps():
        assert gc.get_threshold() != before
        assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


async def test_a_socket_leaves_nothing_to_the_collector(runtime: Runtime) -> None:
    sockets = 20
    async with serve_app(build_silent_app(runtime), runtime.settings) as server:
        for _ in range(2):  # the first time more is made that stays
            gc.collect()
            gc.disable()
            try:
                # when sockets are opened and closed
                writers = await open_sockets(server.port, sockets)
                for writer in writers:
                    writer.close()
                    await writer.wait_closed()
                del writers, writer
                await asyncio.sleep(0.3)
                found = gc.collect()
            finally:
                gc.enable()
    # then they are gone without it: each has some hundred objects
    assert found < 20 * sockets
