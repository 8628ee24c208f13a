"""Messages between a supervisor and its processes."""

from __future__ import annotations

import asyncio
import socket
import struct

from server.processes.channel import (
    Beat,
    Channel,
    Cover,
    Message,
    MetricsAnswer,
    Ready,
    ReportAnswer,
)

MESSAGES: list[Message] = [
    Ready(),
    Beat(),
    Cover(frozenset({2, 3})),
    MetricsAnswer(7, b"x" * 1_000_000),
    ReportAnswer(1, 503, {"status": "draining", "tasks": {"a": "running"}}),
]


async def test_messages_arrive_as_they_were_sent_until_the_other_is_gone() -> None:
    ends = socket.socketpair()
    one, other = [await Channel.open(end) for end in ends]
    for message in MESSAGES:
        one.send(message)
    one.close()
    async with asyncio.timeout(10):
        assert [message async for message in other.receive()] == MESSAGES
    other.send(Beat())  # to nobody, which is no fault
    other.close()


async def test_who_does_not_read_is_sent_no_more_than_some_megabytes() -> None:
    ends = socket.socketpair()
    one, other = [await Channel.open(end) for end in ends]
    # given one that sends without an end to one that does not read
    for number in range(100):
        one.send(MetricsAnswer(number, b"x" * 1_000_000))
    one.send(Beat())
    one.close()
    # when that one reads after all, then it gets the first ones, and no half one
    async with asyncio.timeout(10):
        ids = [message.id async for message in other.receive() if hasattr(message, "id")]
    assert ids == list(range(len(ids)))
    assert 5 <= len(ids) <= 20
    other.close()


async def test_a_message_beyond_all_bounds_ends_the_channel() -> None:
    raw, end = socket.socketpair()
    channel = await Channel.open(end)
    raw.sendall(struct.pack("=I", 2**31))
    async with asyncio.timeout(10):
        assert [message async for message in channel.receive()] == []
    channel.close()
    raw.close()
