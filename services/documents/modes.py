"""Who may run documents that nobody pushed: TRUSTED_DOCUMENTS, read by role."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

ROLES = ("ANONYMOUS", "USER", "EDITOR", "OPERATOR", "ADMIN")  # each has the rights of those before


class DocumentMode(Enum):
    """What happens to a document that is not trusted: it runs, is logged, or is refused."""

    OFF = "off"
    LOG = "log"
    ENFORCE = "enforce"


@lru_cache(maxsize=16)
def parse_modes(setting: str) -> dict[str, DocumentMode]:
    """Parse `mode[,ROLE=mode...]` into the mode of each role.

    The first is everybody's; one of a role is also that of the roles above.
    """
    first, *further = (part.strip() for part in setting.split(","))
    modes = dict.fromkeys(ROLES, DocumentMode(first))
    named = dict(part.split("=") for part in further)
    current = modes[ROLES[0]]
    for role in ROLES:
        current = DocumentMode(named[role]) if role in named else current
        modes[role] = current
    return modes
