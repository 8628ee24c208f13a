"""The viewer's preferences, to read and to change."""

from __future__ import annotations

from typing import Any

import strawberry

from graph.base.bounds import bound
from graph.base.fields import plain
from graph.base.quality import Quality
from graph.base.scalars import LanguageTag


@strawberry.type(description="The viewer's preferences, stored for clients and players to apply.")
class Preferences:
    language: LanguageTag = plain("Language of the user interface and of texts, such as en.")
    audio_languages: list[LanguageTag] = plain("Preferred audio languages, best first.")
    subtitle_languages: list[LanguageTag] = plain("Preferred subtitle languages, best first.")
    max_quality: Quality | None = plain("Highest picture quality to play; null for no limit.")
    autoplay_next: bool = plain("Whether the next episode starts automatically.")


@strawberry.input(
    description="Profile fields to change. An omitted field stays as it is; null resets "
    "it to the default."
)
class UpdateProfileInput:
    display_name: str | None = strawberry.field(
        default=strawberry.UNSET, description="The display name: 1 to 80 characters, never null."
    )
    language: LanguageTag | None = strawberry.field(
        default=strawberry.UNSET,
        description="Language of the user interface and of texts, such as en.",
    )
    audio_languages: list[LanguageTag] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Preferred audio languages, best first; at most 20.",
        directives=bound(items=20),
    )
    subtitle_languages: list[LanguageTag] | None = strawberry.field(
        default=strawberry.UNSET,
        description="Preferred subtitle languages, best first; at most 20.",
        directives=bound(items=20),
    )
    max_quality: Quality | None = strawberry.field(
        default=strawberry.UNSET, description="Highest picture quality to play; null for no limit."
    )
    autoplay_next: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Whether the next episode starts automatically."
    )

    def changes(self) -> dict[str, Any]:
        """Return the given fields by name; null is a value, an omitted field is left out."""
        fields = vars(self).items()
        return {name: value for name, value in fields if value is not strawberry.UNSET}
