"""Overload: what is counted of answers and refusals, and how ours is set beside a peer."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.overload import MANY, STEPS, Load, compare_goodput, overload_table, sentence
from bench.processes import free_port
from tests.support.fake_server import serve_on_free_port


async def test_answers_refusals_and_failures_are_told_apart() -> None:
    # given a server that answers and refuses, then fails
    statuses = [500, 503, 200]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = statuses.pop() if len(statuses) > 1 else 500
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})

    # when one connection asks until it is over
    async with serve_on_free_port(app) as port:
        load = Load(port)
        await asyncio.wait_for(load.drive(1, 0.3), 10)
    # then each is counted for itself
    assert (len(load.answered), len(load.refused)) == (1, 1)
    assert load.others >= 1
    assert load.seconds > 0


def test_goodput_is_compared_by_the_time_of_an_answer() -> None:
    # given ours, which refuses at many connections, and a peer that answers half as much there
    ours = {step: [_load(100, refused=9), _load(110)] for step in STEPS}
    peer = {step: [_load(120), _load(120)] for step in STEPS} | {MANY: [_load(50), _load(55)]}
    # when they are compared
    (comparison,) = compare_goodput({"ours": ours, "yoga-projected": peer})
    # then the peer's answer takes twice as long
    assert comparison.ratio == 2
    assert not comparison.is_lost
    # and the table has both, with the share that is left at many
    rows = [row.split("|") for row in overload_table({"ours": ours, "yoga": peer}).splitlines()[2:]]
    assert [(row[1].strip(), row[5].strip()) for row in rows] == [
        ("ours", "100 %"),
        ("yoga", "44 %"),
    ]


def test_without_ours_goodput_is_not_compared() -> None:
    assert compare_goodput({"yoga": {step: [_load(1)] for step in STEPS}}) == []


def test_the_sentence_has_the_share_and_the_slowest_refusal() -> None:
    text = sentence([0.9, 1.0, 0.95], [0.001] * 200 + [0.042])
    assert "answers 95 % of what it answers" in text
    assert "201 refusals, p99 of 1 ms" in text
    assert "0 refusals." in sentence([1.0], [])


def _load(answered: int, *, refused: int = 0) -> Load:
    return Load(0, 1.0, [0.01] * answered, [0.001] * refused)


async def test_a_server_that_is_not_there_is_a_failure_of_each_connection() -> None:
    load = Load(free_port())
    await asyncio.wait_for(load.drive(3, 0.1), 10)
    assert (load.answered, load.refused, load.others) == ([], [], 3)
