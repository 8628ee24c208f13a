"""Settings of documents that clients name by an id."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

_MODES = r"^(off|log|enforce)(, ?(USER|EDITOR|OPERATOR|ADMIN)=(off|log|enforce))*$"


class DocumentSettings(BaseSettings):
    """A part of `Settings`."""

    trusted_documents: str = Field(
        "off",
        pattern=_MODES,
        description="Who may send documents that nobody pushed: off, all do; log, they run and are "
        "logged; enforce, they are refused. Further modes by role, for it and the roles above, as "
        "in enforce,OPERATOR=off",
    )
