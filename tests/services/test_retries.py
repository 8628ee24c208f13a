"""Retries of calls that fail, and the pauses that services ask for."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from services.retries import parse_retry_after, retry


class Refused(Exception):
    pass


class Service:
    """Fails so many times, then answers how often it was called."""

    def __init__(self, failures: int, error: type[Exception] = Refused) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    async def call(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return self.calls


async def test_a_call_is_repeated_until_it_succeeds() -> None:
    assert await retry(Service(2).call, Refused, attempts=3) == 3


async def test_the_last_failure_is_raised() -> None:
    service = Service(5)
    with pytest.raises(Refused):
        await retry(service.call, Refused, attempts=3)
    assert service.calls == 3


async def test_another_failure_is_not_repeated() -> None:
    service = Service(5, KeyError)
    with pytest.raises(KeyError):
        await retry(service.call, Refused, attempts=3)
    assert service.calls == 1


async def test_a_deadline_ends_the_wait_between_two_attempts() -> None:
    # given a wait of a minute between attempts
    service, started = Service(5), time.monotonic()
    # when the whole may take a moment
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await retry(service.call, Refused, attempts=3, first_wait_seconds=60)
    # then it took a moment
    assert service.calls == 1
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-7", None),
        ("٣", None),
        ("9" * 400, None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_a_retry_after_is_read_or_is_none(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text) == seconds


def test_a_date_is_as_long_as_until_then() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < (parse_retry_after(later) or 0) <= 90
