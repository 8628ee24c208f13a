"""Pushing documents for a release of a client, and pruning what no client needs any more."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import models
from models import AuditEvent
from resolvers import audit
from resolvers.context import Context
from services.documents.trusted import MAX_TRUSTED, MAX_TRUSTED_BYTES
from services.errors import AlreadyExists, CostLimitExceeded, UpstreamUnavailable

_FRESH = timedelta(hours=1)  # what was pushed a moment ago may not have its release yet


@dataclass(frozen=True, slots=True)
class Pushed:
    """How many documents a push named, and how many of them are new."""

    documents: int
    new: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many releases and documents went."""

    releases: int
    documents: int


async def push(context: Context, name: models.ReleaseName, texts: Mapping[str, str]) -> Pushed:
    """Store documents by id as those of a release, and tell all processes.

    Raises:
        AlreadyExists: an id has another text; nothing is changed.
        CostLimitExceeded: there would be too many documents, bytes or releases.
        UpstreamUnavailable: MongoDB did not answer; push again.
    """
    stored = {one.id: one for one in await models.list_pushed_documents()}
    taken = [id_ for id_, text in texts.items() if id_ in stored and stored[id_].text != text]
    if taken:
        raise AlreadyExists(f"Another text has the id {taken[0]}: an id's text never changes.")
    new = {id_: text for id_, text in texts.items() if id_ not in stored}
    await _check_room(name, list(stored.values()), new)
    await models.insert_pushed_documents(new)
    await models.store_release(name, sorted(texts))
    await models.insert_pushed_documents(texts)  # what was pruned in between
    await _announce(context)
    facts: dict[str, audit.Fact] = {"documents": len(texts), "new": len(new)}
    await audit.record(context, AuditEvent.DOCUMENTS_PUSHED, subject=name.id, **facts)
    return Pushed(len(texts), len(new))


async def _check_room(
    name: models.ReleaseName, stored: list[models.PushedDocumentRecord], new: Mapping[str, str]
) -> None:
    if len(stored) + len(new) > MAX_TRUSTED:
        raise CostLimitExceeded(f"There would be more than {MAX_TRUSTED} documents: prune some.")
    size = sum(one.size for one in stored) + sum(len(text.encode()) for text in new.values())
    if size > MAX_TRUSTED_BYTES:
        raise CostLimitExceeded(
            f"The documents would have more than {MAX_TRUSTED_BYTES} bytes: prune some."
        )
    releases = {one.id for one in await models.list_releases()}
    if name.id not in releases and len(releases) >= models.MAX_RELEASES:
        raise CostLimitExceeded(f"There are {models.MAX_RELEASES} releases: prune some.")


async def prune_release(context: Context, name: models.ReleaseName) -> Pruned:
    """Delete a release, and the documents that no other one has."""
    return await _prune_releases(context, [name.id])


async def prune_older(context: Context, client: str, most: int) -> Pruned:
    """Delete the releases of a client but for the `most` that were pushed last."""
    releases = [one.id for one in await models.list_releases() if one.client == client]
    return await _prune_releases(context, releases[most:])


async def prune_unused(context: Context, days: int) -> Pruned:
    """Delete documents that nobody asked for within so many days."""
    before = _now(context) - timedelta(days=days)
    unused = [
        one.id
        for one in await models.list_pushed_documents()
        if (one.used_at or one.created_at) < before
    ]
    documents = await models.delete_pushed_documents(unused, before)
    await _finish(context, f"{days} days", 0, documents)
    return Pruned(0, documents)


async def _prune_releases(context: Context, ids: Collection[str]) -> Pruned:
    deleted = await models.delete_releases(ids)
    named = {id_ for one in await models.list_releases() for id_ in one.document_ids}
    orphans = [one.id for one in await models.list_pushed_documents() if one.id not in named]
    documents = await models.delete_pushed_documents(orphans, _now(context) - _FRESH)
    await _finish(context, ", ".join(ids), deleted, documents)
    return Pruned(deleted, documents)


async def _finish(context: Context, subject: str, releases: int, documents: int) -> None:
    if releases or documents:
        await _announce(context)
        facts: dict[str, audit.Fact] = {"releases": releases, "documents": documents}
        await audit.record(context, AuditEvent.DOCUMENTS_PRUNED, subject=subject[:200], **facts)


async def _announce(context: Context) -> None:
    with suppress(UpstreamUnavailable):  # then they look by themselves
        await context.runtime.ops.documents.announce()


def _now(context: Context) -> datetime:
    return datetime.fromtimestamp(context.runtime.clock(), UTC)
