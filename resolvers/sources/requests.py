"""What is asked about a title, and of whom: the providers this viewer takes part in.

Answers are shared by everybody with the same providers in the same order, and the same wish where a
provider's own answer depends on it; a rollout to a few is never seen by the others.
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
    """What is no episode and can have sources."""

    @property
    def id(self) -> str: ...
    @property
    def tmdb_id(self) -> int | None: ...
    @property
    def imdb_id(self) -> str | None: ...


SourceTitle = Film | models.EpisodeRecord


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """`cache_name` is the title's id alone while all configured providers are asked."""

    title: TitleRef
    infos: list[ProviderInfo]
    viewer_key: str | None
    cache_name: str

    def is_fallback(self, key: str) -> bool:
        return any(info.key == key and info.is_fallback for info in self.infos)


async def source_requests(
    context: Context,
    titles: Sequence[SourceTitle],
    language: str | None = None,
    max_quality: Quality | None = None,
    *,
    in_library: Collection[str] = (),
) -> list[SourceRequest]:
    """For each title. `in_library` are ids of those that our own disk has for this viewer."""
    known = await providers(context)
    key = viewer_key(context)
    infos = select_providers(known, key)
    members = context.runtime.providers.members
    taken = {one for info in infos for one in members[info.key].takes}
    wish = TitleRef(
        "",
        language=language if SupportedHint.LANGUAGE in taken else None,
        max_quality=max_quality
        if _is_limit(max_quality) and SupportedHint.MAX_QUALITY in taken
        else None,
    )
    configured = [info.key for info in context.runtime.providers.infos.values() if info.enabled]
    order = [info.key for info in infos]
    special = order if order != configured else []
    refs = [
        replace(ref, language=wish.language, max_quality=wish.max_quality)
        for ref in await _refs(context, titles)
    ]
    refs = [replace(ref, in_library=ref.id in in_library) for ref in refs]
    return [SourceRequest(ref, infos, key, ref.id + _variant(special, ref)) for ref in refs]


def _is_limit(quality: Quality | None) -> bool:
    return quality is not Quality.UNKNOWN


async def _refs(context: Context, titles: Sequence[SourceTitle]) -> list[TitleRef]:
    """The shows of all episodes are loaded at once."""
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


def _variant(special: Sequence[str], title: TitleRef) -> str:
    """Nothing for the plain answer; else a short name of what makes this one another."""
    parts = list(special)
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
