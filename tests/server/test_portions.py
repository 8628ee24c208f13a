"""Calls in portions: all are made, in order, and others get their turns between."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial

import pytest

from server.portions import Portions, portions_of


async def test_all_calls_are_made_in_order_with_turns_of_others_between() -> None:
    # given more calls than fit into a turn
    made: list[int] = []
    portions = Portions(per_turn=3)
    for number in range(10):
        portions.add(partial(made.append, number))
    # when others take their turns, then no turn made more than its portion
    sizes = [0]
    while len(made) < 10:
        await asyncio.sleep(0)
        sizes.append(len(made))
    assert made == list(range(10))
    assert max(after - before for before, after in itertools.pairwise(sizes)) == 3


async def test_a_call_that_fails_is_reported_and_holds_up_no_other() -> None:
    loop = asyncio.get_running_loop()
    reported: list[str] = []
    loop.set_exception_handler(lambda _, context: reported.append(str(context["exception"])))
    portions, made = Portions(per_turn=2), []

    def fail() -> None:
        raise ValueError("This one fails.")

    for call in (fail, partial(made.append, 1), fail, partial(made.append, 2)):
        portions.add(call)
    for _ in range(6):
        await asyncio.sleep(0)
    assert made == [1, 2]
    assert reported == ["This one fails."] * 2


@pytest.mark.parametrize("times", [1, 2])
def test_each_loop_has_portions_of_its_own(times: int) -> None:
    async def use() -> list[int]:
        made: list[int] = []
        for number in range(times):
            portions_of(asyncio.get_running_loop()).add(partial(made.append, number))
        # this loop may end before its turn comes
        return made

    asyncio.run(use())
    assert asyncio.run(_finish(times)) == list(range(times))


async def _finish(times: int) -> list[int]:
    made: list[int] = []
    for number in range(times):
        portions_of(asyncio.get_running_loop()).add(partial(made.append, number))
    await asyncio.sleep(0.01)
    return made
