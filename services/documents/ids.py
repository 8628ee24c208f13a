"""Ids of documents, and names of clients: the forms that are taken, and their bounds.

An id is a digest in hexadecimal (SHA-256, or what build tools name texts by: SHA-1, MD5), or a
name that an operator chose. It stands in addresses as it is.

Source: GraphQL over HTTP, appendix A: `sha256:` before a digest, `x-...:` before a private form.
"""

from __future__ import annotations

import re

MAX_NAME_CHARACTERS = 64  # of clients and versions
MAX_ID_CHARACTERS = 162
_SHA256_PREFIX = "sha256:"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32}", re.ASCII)
_CUSTOM = re.compile(r"(?:x-[a-z0-9-]{1,30}:)?[A-Za-z0-9_][A-Za-z0-9_.~-]{0,127}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@_.+/ -]{0,63}", re.ASCII)


def normalize_id(text: str) -> str | None:
    """Return the id as it is stored, a SHA-256 without its prefix; None if it is no id."""
    if text.startswith(_SHA256_PREFIX):
        digest = text.removeprefix(_SHA256_PREFIX)
        return digest if _SHA256.fullmatch(digest) else None
    return text if _CUSTOM.fullmatch(text) else None


def normalize_digest(text: str) -> str | None:
    """Return the digest that Apollo's extension names a document by; None if it is none."""
    digest = text.removeprefix(_SHA256_PREFIX)
    return digest if _DIGEST.fullmatch(digest) else None


def is_sha256(document_id: str) -> bool:
    """Whether a stored id is a SHA-256, under which clients may register texts."""
    return _SHA256.fullmatch(document_id) is not None


def show_id(document_id: str) -> str:
    """Return a stored id as appendix A writes it."""
    return _SHA256_PREFIX + document_id if is_sha256(document_id) else document_id


def is_client_name(text: str) -> bool:
    """Whether a text may name a client or a version of one."""
    return _NAME.fullmatch(text) is not None
