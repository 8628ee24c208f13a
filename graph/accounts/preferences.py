"""What a viewer prefers, to be read and changed."""

from __future__ import annotations

from typing import Any

import strawberry

from graph.base.fields import plain
from graph.base.scalars import LanguageTag
from graph.sources.quality import Quality


@strawberry.type(description="What the viewer prefers; players may follow it.")
class Preferences:
    language: LanguageTag = plain("Of texts.")
    audio_languages: list[LanguageTag] = plain("Of sound, the best liked first.")
    subtitle_languages: list[LanguageTag] = plain("Of subtitles, the best liked first.")
    max_quality: Quality | None = plain("The finest picture wanted; null for any.")
    autoplay_next: bool = plain("Episodes follow each other by themselves.")


@strawberry.input(
    description="What to change about oneself: what is left out stays, null goes back to the "
    "default."
)
class UpdateProfileInput:
    display_name: str | None = strawberry.field(
        default=strawberry.UNSET, description="The name shown: 1 to 80 characters, never null."
    )
    language: LanguageTag | None = strawberry.field(
        default=strawberry.UNSET, description="Of texts."
    )
    audio_languages: list[LanguageTag] | None = strawberry.field(
        default=strawberry.UNSET, description="Of sound, the best liked first; at most 20."
    )
    subtitle_languages: list[LanguageTag] | None = strawberry.field(
        default=strawberry.UNSET, description="Of subtitles, the best liked first; at most 20."
    )
    max_quality: Quality | None = strawberry.field(
        default=strawberry.UNSET, description="The finest picture wanted; null for any."
    )
    autoplay_next: bool | None = strawberry.field(
        default=strawberry.UNSET, description="Episodes follow each other by themselves."
    )

    def changes(self) -> dict[str, Any]:
        fields = vars(self).items()
        return {name: value for name, value in fields if value is not strawberry.UNSET}
