"""What caches may do with an answer: the headers of a GET, whoever asks.

A public answer depends on nobody, so it is public for signed-in viewers as well, and they share a
CDN's copy. What is private, failed or sent with new cookies is stored by nobody.
"""

from __future__ import annotations

from functools import lru_cache

from graph.base.freshness import Freshness
from graph.engine.answers import StoredAnswer, build_etag
from graph.engine.operations import Answer

Headers = dict[bytes, bytes]
_HIT, _MISS = b"hit", b"miss"
_NO_STORE = b"no-store"


def describe_caching(answer: Answer, body: bytes, now: float, *, has_cookies: bool) -> Headers:
    """Build the caching headers of a query's answer without errors.

    Args:
        now: of the clock that the stored answers go by.
        has_cookies: the answer sets cookies, which are for one client.
    """
    stored = answer.stored
    if stored is None:
        return {b"etag": build_etag(body)}  # private: the client may compare its own copy
    if has_cookies or stored.is_expired(now):
        return {b"etag": stored.etag}
    return _describe_public(stored, now, is_hit=answer.is_hit)


def _describe_public(stored: StoredAnswer, now: float, *, is_hit: bool) -> Headers:
    control, shared = _controls(stored.freshness)
    return {
        b"etag": stored.etag,
        b"cache-control": control,
        b"cdn-cache-control": shared,
        b"age": b"%d" % stored.age_seconds(now),
        b"x-cache": _HIT if is_hit else _MISS,
        **dict(stored.tag_lines),
    }


@lru_cache(maxsize=256)
def _controls(freshness: Freshness) -> tuple[bytes, bytes]:
    """Values of Cache-Control (RFC 9111, 5861) and of CDN-Cache-Control (RFC 9213)."""
    stale = b"stale-while-revalidate=%d, stale-if-error=%d" % (
        freshness.stale_while_revalidate,
        freshness.stale_if_error,
    )
    own = b"public, max-age=%d" % freshness.max_age
    return b"%b, %b" % (own, stale), b"public, max-age=%d, %b" % (freshness.shared_seconds, stale)


def is_unchanged(if_none_match: bytes | None, headers: Headers) -> bool:
    """Whether the client has this answer (RFC 9110, 13.1.2): weak comparison, or `*`.

    `*` asks whether there is any answer at all, which of a private one nobody need know.
    """
    if if_none_match is None:
        return False
    accepted = {headers[b"etag"], b"*"} if b"cache-control" in headers else {headers[b"etag"]}
    tags = (tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b","))
    return any(tag in accepted for tag in tags)


def set_edge_time(headers: Headers, stored: StoredAnswer, now: float) -> None:
    """Say to an nginx in front how long is left: it does not take Age off the time it is told."""
    if headers.get(b"cache-control", _NO_STORE) != _NO_STORE:
        left = stored.freshness.shared_seconds - stored.age_seconds(now)
        headers[b"x-accel-expires"] = b"%d" % max(1, left)
