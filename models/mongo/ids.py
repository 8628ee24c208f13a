"""Public ids: `<kind>_<key>`, the same text in the API, in MongoDB and in cache keys.

Imported records get ids derived from their source's key, so importing twice changes nothing;
all others get random ones. A kind is read from the text alone, without a lookup.
"""

from __future__ import annotations

import hashlib
import re
import secrets

# Of what is no document; each document adds its own.
KINDS = {"provider", "breaker"}
_SHAPE = re.compile(r"([a-z]+)_[0-9a-z][0-9a-z._-]{0,95}", re.ASCII)


def new(kind: str) -> str:
    """A random id of this kind: 80 bits, unguessable and free of collisions in practice."""
    return f"{kind}_{secrets.token_hex(10)}"


def derive(kind: str, *source: str | int) -> str:
    """The same id for the same source key, e.g. derive("movie", "movielens", 1)."""
    text = "\x1f".join(map(str, source))
    return f"{kind}_{hashlib.blake2b(text.encode(), digest_size=10).hexdigest()}"


def of_genre(slug: str) -> str:
    """The id of the genre with this slug."""
    return f"genre_{slug}"


def slug_of(genre_id: str) -> str:
    """The slug of a genre id."""
    return genre_id.removeprefix("genre_")


def kind_of(public_id: str) -> str | None:
    """The kind of a well-formed id, else None: a malformed id names nothing."""
    match = _SHAPE.fullmatch(public_id)
    return match[1] if match and match[1] in KINDS else None
