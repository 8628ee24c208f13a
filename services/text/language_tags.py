"""Language tags in their canonical case, so that one language is one text.

Source: RFC 5646, section 2.1.1.
"""

from __future__ import annotations

from functools import lru_cache

_REGION_LENGTH, _SCRIPT_LENGTH = 2, 4


@lru_cache(maxsize=1024)
def normalize_case(tag: str) -> str:
    """Write a well-formed tag as `zh-Hant-TW`: language, script, region, all else in lower case."""
    first, *others = tag.lower().split("-")
    parts = [first]
    has_singleton = len(first) == 1
    for part in others:
        has_singleton = has_singleton or len(part) == 1  # from there on nothing is a region
        parts.append(part if has_singleton else _write_subtag(part))
    return "-".join(parts)


def _write_subtag(part: str) -> str:
    if len(part) == _REGION_LENGTH:
        return part.upper()
    return part.capitalize() if len(part) == _SCRIPT_LENGTH else part
