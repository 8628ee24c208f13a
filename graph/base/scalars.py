"""Custom scalars: how each is checked on the way in and written on the way out."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any, NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

from services.text.language_tags import normalize_case

Date = NewType("Date", str)
DateTime = NewType("DateTime", datetime)
Long = NewType("Long", int)
URL = NewType("URL", str)
LanguageTag = NewType("LanguageTag", str)
EmailAddress = NewType("EmailAddress", str)
JSONObject = NewType("JSONObject", dict[str, Any])

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MINUTE = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_INSTANT = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})[Tt]({_MINUTE}):([0-9]{{2}})(?:\.([0-9]+))?"
    rf"([Zz]|[+-]{_MINUTE})"
)
_LEAP_SECOND = "60"
_JSON_DEPTH = 8
_MAX_LONG = 2**63


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("A string is needed.")
    return value


def _parse_date(value: object) -> str:
    text = _text(value)
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:  # whose words are Python's
        raise ValueError("A day is needed, such as 2026-01-31.") from None


def _parse_instant(value: object) -> datetime:
    """Parse an instant to microseconds; more digits are cut off.

    Source: RFC 3339, 5.6. As the scalar's specification says, `-00:00` is no offset.
    """
    match = _INSTANT.fullmatch(_text(value))
    try:
        if match is None or match[5] == "-00:00":
            raise ValueError
        return _build_instant(*match.groups(default=""))
    except (ValueError, OverflowError):  # the latter for a year before 1 or after 9999
        raise ValueError("An instant is needed, such as 2026-01-31T12:00:00Z.") from None


def _build_instant(day: str, minute: str, second: str, fraction: str, offset: str) -> datetime:
    """Build the instant in UTC; a leap second, which ends a month, is the next month's first."""
    is_leap = second == _LEAP_SECOND
    text = f"{day}T{minute}:{'59' if is_leap else second}.{fraction[:6]:0<6}{offset.upper()}"
    instant = datetime.fromisoformat(text).astimezone(UTC)
    if not is_leap:
        return instant
    instant = instant.replace(microsecond=0) + timedelta(seconds=1)
    if (instant.day, instant.hour, instant.minute, instant.second) != (1, 0, 0, 0):
        raise ValueError("There is no such second.")
    return instant


def write_instant(value: datetime) -> str:
    """Format an instant in ISO 8601, in UTC with milliseconds, such as 2026-01-31T12:00:00.000Z."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _whole_number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -_MAX_LONG <= value < _MAX_LONG:
        raise ValueError("A whole number of up to 64 bits is needed.")
    return value


def _parse_url(value: object) -> str:
    text = _text(value)
    if not text.startswith(("https://", "http://")) or len(text) > 2000:
        raise ValueError("An absolute http or https address is needed.")
    return text


def _parse_language(value: object) -> str:
    text = _text(value)
    if len(text) > 35 or not _LANGUAGE.fullmatch(text):
        raise ValueError("A BCP 47 language tag is needed, such as en or pt-BR.")
    return normalize_case(text)


def _parse_email(value: object) -> str:
    """Take any text: people type it, and the payload tells them what is wrong with it."""
    text = _text(value)
    if len(text) > 320:
        raise ValueError("An e-mail address has at most 320 characters.")
    return text


def _parse_json(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or _depth(value) > _JSON_DEPTH:
        raise ValueError(f"A JSON object at most {_JSON_DEPTH} deep is needed.")
    return value


def _depth(value: object) -> int:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("Numbers must be finite.")
    children = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return 0
    return 1 + max((_depth(child) for child in children), default=0)  # type: ignore[attr-defined]


SCALARS: dict[object, ScalarDefinition] = {
    Date: strawberry.scalar(
        name="Date",
        description="A calendar day in ISO 8601, such as 2026-01-31.",
        serialize=str,
        parse_value=_parse_date,
    ),
    DateTime: strawberry.scalar(
        name="DateTime",
        description="An instant of RFC 3339 with an offset, such as 2026-01-31T12:00:00.000Z. "
        "Input may have any number of fraction digits; output is in UTC with milliseconds.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
        serialize=write_instant,
        parse_value=_parse_instant,
    ),
    Long: strawberry.scalar(
        name="Long",
        description="A whole number of up to 64 bits, as a JSON number; JavaScript is exact up to "
        "9,007,199,254,740,991.",
        serialize=_whole_number,
        parse_value=_whole_number,
    ),
    URL: strawberry.scalar(
        name="URL",
        description="An absolute http or https URL of at most 2,000 characters. Output may begin "
        "with a slash: that is on the host of this endpoint (RFC 3986, section 5).",
        serialize=str,
        parse_value=_parse_url,
    ),
    LanguageTag: strawberry.scalar(
        name="LanguageTag",
        description="A BCP 47 language tag, such as en or pt-BR; case does not matter in input.",
        serialize=str,
        parse_value=_parse_language,
    ),
    EmailAddress: strawberry.scalar(
        name="EmailAddress",
        description="An e-mail address, such as ada@example.org; one that is none is an error in "
        "the payload's `errors`.",
        serialize=str,
        parse_value=_parse_email,
    ),
    JSONObject: strawberry.scalar(
        name="JSONObject",
        description="Any JSON object.",
        serialize=dict,
        parse_value=_parse_json,
    ),
}
