"""Tags of answers as a CDN takes them: within its limits, and the same when it is to purge.

An answer whose tags are too many has one tag for all of a kind instead, the kind with the most tags
first. A purge names both forms, so it meets whichever was rendered.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

Line = tuple[bytes, bytes]

_UNSAFE = re.compile(r"[^!-~]|,", re.ASCII)  # all services: visible ASCII without commas
_MOST_CHARACTERS = 256  # CloudFront's limit; the others take 1,024


@dataclass(frozen=True, slots=True)
class TagRules:
    """Limits of one CDN.

    Args:
        header: name of the response header.
        separator: stands between tags; no tag has it.
        most_tags: of one answer.
        most_bytes: of the header's value.
    """

    header: bytes
    separator: str
    most_tags: int
    most_bytes: int

    def render(self, tags: Iterable[str]) -> Line | None:
        """Header line for an answer with these tags; None: no form of them fits."""
        known = set(tags)
        for forms in self._forms_of_all(known):
            if self._fits(forms):
                return self.header, self.separator.join(sorted(forms)).encode()
        return None

    def purge_forms(self, tags: Iterable[str]) -> set[str]:
        """All forms in which answers may have these tags."""
        known = set(tags)
        return {encode_tag(tag) for tag in known} | {_any_of(_kind(tag)) for tag in known}

    def _forms_of_all(self, tags: set[str]) -> Iterable[Collection[str]]:
        """The sets of tags that may stand for these, from the most exact to the coarsest."""
        yield {encode_tag(tag) for tag in tags}
        coarse: set[str] = set()
        exact = tags
        for kind, _ in Counter(map(_kind, sorted(tags))).most_common():
            coarse.add(_any_of(kind))
            exact = {tag for tag in exact if _kind(tag) != kind}
            yield coarse | {encode_tag(tag) for tag in exact}

    def _fits(self, forms: Collection[str]) -> bool:
        size = sum(map(len, forms)) + len(self.separator) * max(0, len(forms) - 1)
        return len(forms) <= self.most_tags and size <= self.most_bytes


def encode_tag(tag: str) -> str:
    """Encode a tag for a CDN's header and purge API.

    Tags they would refuse become a digest. Their case does not matter.
    """
    if len(tag) <= _MOST_CHARACTERS and not _UNSAFE.search(tag):
        return tag.lower()
    return f"h:{hashlib.blake2b(tag.lower().encode(), digest_size=16).hexdigest()}"


def _kind(tag: str) -> str:
    return tag.partition(":")[0]


def _any_of(kind: str) -> str:
    return encode_tag(f"any:{kind}")
