"""What scalars take is what the page they name allows, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from graph.base.scalars import SCALARS, Date, DateTime, LanguageTag

NEW_YORK = timezone(-timedelta(hours=4))


def parse(scalar: object, text: Any) -> Any:
    parse_value = SCALARS[scalar].parse_value
    assert parse_value is not None
    return parse_value(text)


@pytest.mark.parametrize(
    ("text", "tag"), [("EN", "en"), ("pt-br", "pt-BR"), ("ZH-hant-TW", "zh-Hant-TW")]
)
def test_a_language_is_one_whatever_its_case(text: str, tag: str) -> None:
    assert parse(LanguageTag, text) == tag


@pytest.mark.parametrize(
    "text", ["", "e", "english!", "en_US", "en-", "x" * 36, "d\u0435", 5, None]
)
def test_what_is_no_language_tag_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="needed"):
        parse(LanguageTag, text)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2011-08-30t13:22:53.108z", datetime(2011, 8, 30, 13, 22, 53, 108_000, UTC)),
        ("2011-08-30T13:22:53Z", datetime(2011, 8, 30, 13, 22, 53, 0, UTC)),
        ("2011-08-30T13:22:53.1Z", datetime(2011, 8, 30, 13, 22, 53, 100_000, UTC)),
        ("2011-08-30T13:22:53.123456789Z", datetime(2011, 8, 30, 13, 22, 53, 123_456, UTC)),
        ("2011-08-30T13:22:53.00000000000000001Z", datetime(2011, 8, 30, 13, 22, 53, 0, UTC)),
        ("2011-08-30T13:22:53.108-04:00", datetime(2011, 8, 30, 13, 22, 53, 108_000, NEW_YORK)),
        ("2011-08-30T13:22:53+00:00", datetime(2011, 8, 30, 13, 22, 53, 0, UTC)),
        ("2024-02-29T00:00:00+23:59", datetime(2024, 2, 28, 0, 1, 0, 0, UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)),
        # leap seconds, also as told elsewhere
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("1990-12-31T15:59:60.7-08:00", datetime(1991, 1, 1, tzinfo=UTC)),
    ],
)
def test_an_instant_is_what_rfc_3339_writes(text: str, instant: datetime) -> None:
    assert parse(DateTime, text) == instant
    assert parse(DateTime, text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "2011-08-30T13:22:53.108-03",
        "2011-08-30T13:22:53.108-0300",
        "2011-08-30T13:22:53.108+03:30:15",
        "2011-08-30T13:22:53.108-00:00",
        "2011-08-30T13:22:53.108",
        "2011-08-30T13:22:53.Z",
        "2011-08-30T13:22:53,108Z",
        "2011-08-30T24:00:00.000Z",
        "2011-08-30T13:60:00Z",
        "2011-08-30T13:22:60Z",
        "2011-08-30T23:59:60Z",
        "2011-08-30T13:22:61Z",
        "2011-08-30T13:22Z",
        "2011-08-30T13Z",
        "2011-08-30",
        "2011-08-30 13:22:53Z",
        "2011-02-30T13:22:53Z",
        "2023-02-29T13:22:53Z",
        "2011-08-30T13:22:53+24:00",
        "2011-08-30T13:22:53+12:60",
        "2024-W01-1T00:00:00Z",
        "2024-001T00:00:00Z",
        "20240101T000000Z",
        "2024-01-01X00:00:00Z",
        "2024-1-1T0:0:0Z",
        "+2024-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:60Z",
        "٢٠٢٤-01-01T00:00:00Z",
        "2024-01-01T00:00:00Z\n",
        " 2024-01-01T00:00:00Z",
        "",
        1704067200,
        None,
    ],
    ids=repr,
)
def test_what_rfc_3339_does_not_write_is_no_instant(text: object) -> None:
    with pytest.raises(ValueError, match="needed"):
        parse(DateTime, text)


def test_a_day_has_four_two_and_two_digits() -> None:
    assert parse(Date, "2024-02-29") == "2024-02-29"


@pytest.mark.parametrize(
    "text",
    ["2024-1-1", "20240101", "2024-W01-1", "2023-02-29", "2024-13-01", "٢٠٢٤-01-01", "2024-01-01\n",
     "0000-01-01", " 2024-01-01", "2024-01-01T00:00:00Z", "", 20240101],
    ids=repr,
)  # fmt: skip
def test_other_ways_to_write_a_day_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="needed"):
        parse(Date, text)
