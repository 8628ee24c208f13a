"""Instants of progress: milliseconds in Redis, datetimes in records, without rounding."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from models.playback.documents import instant, milliseconds

YEAR_9999_MS = 253_402_300_799_999


@given(st.integers(min_value=0, max_value=YEAR_9999_MS))
def test_every_millisecond_comes_back(at_ms: int) -> None:
    at = instant(at_ms)
    assert at.tzinfo is UTC
    assert (at.year, at.microsecond % 1000) == (datetime.fromtimestamp(at_ms // 1000, UTC).year, 0)
    assert milliseconds(at) == at_ms
