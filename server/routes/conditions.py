"""Conditional and range requests of files (RFC 9110, 13 and 14), as functions of headers.

A request for several ranges gets the whole file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

_ONE_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Version:
    """A file's entity tag, with quotes, and when it changed, in seconds since 1970."""

    etag: str
    modified_at: float

    @property
    def last_modified(self) -> str:
        """The time as a Last-Modified header's value."""
        return formatdate(self.modified_at, usegmt=True)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `first` up to, not including, `end`."""

    first: int
    end: int


class RangeNotSatisfiable(Exception):
    """The range lies outside the file."""


def is_not_modified(headers: Mapping[str, str], version: Version) -> bool:
    """Whether the client has this version.

    By If-None-Match in weak comparison, else by If-Modified-Since.
    """
    tags = headers.get("if-none-match")
    if tags is not None:
        known_tags = (tag.strip().removeprefix("W/") for tag in tags.split(","))
        return any(tag in (version.etag.removeprefix("W/"), "*") for tag in known_tags)
    since = headers.get("if-modified-since")
    if since is None:
        return False
    try:
        return int(version.modified_at) <= parsedate_to_datetime(since).timestamp()
    except (ValueError, OverflowError):
        return False


def parse_range(headers: Mapping[str, str], version: Version, size_bytes: int) -> ByteRange | None:
    """The requested range; None means the whole file, also for a range without meaning.

    Raises:
        RangeNotSatisfiable: it begins after the file's end.
    """
    match = _ONE_RANGE.fullmatch(headers.get("range", ""))
    if match is None or not _matches_if_range(headers.get("if-range"), version):
        return None
    first, last = match.groups()
    if not first:
        return _suffix_range(int(last), size_bytes) if last else None
    if last and int(last) < int(first):
        return None
    if int(first) >= size_bytes:
        raise RangeNotSatisfiable
    return ByteRange(int(first), min(int(last) + 1, size_bytes) if last else size_bytes)


def _suffix_range(length: int, size_bytes: int) -> ByteRange:
    if not length or not size_bytes:
        raise RangeNotSatisfiable
    return ByteRange(max(0, size_bytes - length), size_bytes)


def _matches_if_range(header: str | None, version: Version) -> bool:
    """Whether If-Range matches, in strong comparison: a weak tag never does."""
    if header is None:
        return True
    return header == version.last_modified or (
        header == version.etag and not header.startswith("W/")
    )
