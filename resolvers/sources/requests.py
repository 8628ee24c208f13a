"""Requests for sources: a title, and the providers that this viewer takes part in.

Answers are shared by viewers with the same providers in the same order, and the same hints where a
provider's answer depends on them. Other viewers never see a rollout to a few.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import loaders
import models
from resolvers.context import Context
from resolvers.sources.providers import providers, select_providers, viewer_key
from services.providers.base import ProviderInfo, SupportedHint, TitleKind, TitleRef
from services.quality import Quality


class Film(Protocol):
    """A title that is no episode and can have sources."""

    @property
    def id(self) -> str: ...
    @property
    def tmdb_id(self) -> int | None: ...
    @property
    def imdb_id(self) -> str | None: ...


SourceTitle = Film | models.EpisodeRecord


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """One title and the providers to call for it, in order.

    `cache_name` is the title's id alone while all configured providers are called in their order.
    """

    title: TitleRef
    infos: list[ProviderInfo]
    viewer_key: str | None
    cache_name: str

    def is_fallback(self, key: str) -> bool:
        """Whether the provider with this key is a fallback."""
        return any(info.key == key and info.is_fallback for info in self.infos)


async def source_requests(
    context: Context,
    titles: Sequence[SourceTitle],
    language: str | None = None,
    max_quality: Quality | None = None,
    *,
    in_library: Collection[str] = (),
) -> list[SourceRequest]:
    """Build one request for each title, in order.

    Args:
        in_library: ids of titles that our own library has for this viewer.
    """
    all_infos = await providers(context)
    key = viewer_key(context)
    infos = select_providers(all_infos, key)
    members = context.runtime.sources.providers.members
    supported_hints = {hint for info in infos for hint in members[info.key].supported_hints}
    preferences = TitleRef(
        "",
        language=language if SupportedHint.LANGUAGE in supported_hints else None,
        max_quality=max_quality
        if _is_limit(max_quality) and SupportedHint.MAX_QUALITY in supported_hints
        else None,
    )
    configured = [
        info.key for info in context.runtime.sources.providers.infos.values() if info.enabled
    ]
    order = [info.key for info in infos]
    custom_order = order if order != configured else []
    refs = [
        replace(ref, language=preferences.language, max_quality=preferences.max_quality)
        for ref in await _refs(context, titles)
    ]
    refs = [replace(ref, in_library=ref.id in in_library) for ref in refs]
    return [SourceRequest(ref, infos, key, ref.id + _variant(custom_order, ref)) for ref in refs]


def _is_limit(quality: Quality | None) -> bool:
    return quality is not Quality.UNKNOWN


async def _refs(context: Context, titles: Sequence[SourceTitle]) -> list[TitleRef]:
    """References to the titles; the shows of all episodes are loaded at once."""
    show_ids = {one.show_id for one in titles if isinstance(one, models.EpisodeRecord)}
    shows = await context.load_many(loaders.ShowById, show_ids) if show_ids else {}
    return [_ref(one, shows) for one in titles]


def _ref(title: SourceTitle, shows: Mapping[str, models.ShowRecord | None]) -> TitleRef:
    if not isinstance(title, models.EpisodeRecord):
        return TitleRef(title.id, title.tmdb_id, title.imdb_id)
    show = shows.get(title.show_id)
    return TitleRef(
        title.id,
        show.tmdb_id if show is not None else None,
        show.imdb_id if show is not None else None,
        TitleKind.TV,
        title.season_number,
        title.number,
    )


def _variant(custom_order: Sequence[str], title: TitleRef) -> str:
    """A cache name's suffix: empty for the common answer, else a digest of what differs."""
    parts = list(custom_order)
    if title.in_library:
        parts.append("library")
    if title.language is not None:
        parts.append(f"language={title.language.casefold()}")
    if title.max_quality is not None:
        parts.append(f"quality={title.max_quality.name}")
    if not parts:
        return ""
    text = "\x1f".join(parts).encode()
    return f":{hashlib.blake2b(text, digest_size=8).hexdigest()}"
