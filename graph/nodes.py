"""`node` and `nodes`: anything by its id, whatever its type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import strawberry

import loaders
from graph.base.fields import resolver
from graph.base.info import Info
from graph.base.interfaces import FindMany, Node
from graph.sources.providers import find_providers
from models.mongo import ids
from resolvers.accounts import api_keys, sign_in, sign_out
from resolvers.context import Context
from resolvers.ops.jobs import find_jobs
from resolvers.playback import history, progress, sessions
from resolvers.sources.breakers import find_breakers
from services.errors import ValidationFailed

_MOST = 100


def _by_loader(loader: type[loaders.CachedLoader[Any]]) -> FindMany:
    async def find(context: Context, requested_ids: Sequence[str]) -> dict[str, Any]:
        return await context.load_many(loader, requested_ids)

    return find


# Kind of id -> how things of this kind are found. What belongs to a viewer finds only the viewer's.
FINDERS: dict[str, FindMany] = {
    "movie": _by_loader(loaders.MovieById),
    "person": _by_loader(loaders.PersonById),
    "genre": _by_loader(loaders.GenreById),
    "show": _by_loader(loaders.ShowById),
    "season": _by_loader(loaders.SeasonById),
    "episode": _by_loader(loaders.EpisodeById),
    "user": sign_in.own_account,
    "login": sign_out.sessions_by_id,
    "apikey": api_keys.api_keys_by_id,
    "session": sessions.sessions_by_id,
    "viewing": history.viewings_by_id,
    "progress": progress.progress_by_id,
    "provider": find_providers,
    "breaker": find_breakers,
    "job": find_jobs,
}


def _kind_of(id_: str, *path: str) -> str:
    kind = ids.kind_of(id_)
    if kind is None:
        raise ValidationFailed("This is not an id of this API.", path=path)
    return kind


async def _find(context: Context, kinds_by_id: Mapping[str, str]) -> dict[str, Any]:
    """Return objects by their ids, with one query per kind."""
    kinds: dict[str, list[str]] = {}
    for id_, kind in kinds_by_id.items():
        kinds.setdefault(kind, []).append(id_)
    things: dict[str, Any] = {}
    for kind, ids_of_kind in kinds.items():
        if kind in FINDERS:
            things.update(await FINDERS[kind](context, ids_of_kind))
    return things


async def _node(
    info: Info,
    id: Annotated[strawberry.ID, strawberry.argument(description="Global id of any object.")],
) -> Any:
    kinds_by_id: dict[str, str] = {id: _kind_of(id, "id")}
    return (await _find(info.context, kinds_by_id)).get(id)


async def _nodes(
    info: Info,
    ids: Annotated[
        list[strawberry.ID],
        strawberry.argument(description="Global ids of any objects, at most 100."),
    ],
) -> list[Any]:
    if len(ids) > _MOST:
        raise ValidationFailed(f"At most {_MOST} ids at once.", path=["ids"])
    kinds_by_id: dict[str, str] = {
        id_: _kind_of(id_, "ids", str(index)) for index, id_ in enumerate(ids)
    }
    things = await _find(info.context, kinds_by_id)
    return [things.get(id_) for id_ in ids]


@strawberry.type
class NodeQuery:
    node: Node | None = resolver(
        _node,
        "One object by its global id; null if it does not exist or the viewer may not see it.",
    )
    nodes: list[Node | None] = resolver(
        _nodes,
        "Objects by their global ids, in the order of `ids`; null for an "
        "object that does not exist or that the viewer may not see.",
    )
