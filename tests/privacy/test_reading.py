"""Nobody reads what is another's, or what needs rights: every root field, with every id."""

from __future__ import annotations

import pytest

from tests.privacy import operations
from tests.privacy.answers import (
    assert_not_cached,
    assert_nothing_of_ada,
    codes_of,
    read_body,
)
from tests.privacy.operations import Made, personal_fields, root_fields, variants
from tests.privacy.world import FILM, World


@pytest.fixture
def world(shared_world: World) -> World:
    """Nothing here changes it."""
    return shared_world


def _is_personal(made: Made) -> bool:
    return bool(made.asks & personal_fields())


@pytest.mark.parametrize("name", root_fields("query"))
async def test_what_ada_may_read_nobody_else_can(world: World, name: str) -> None:
    # given Ada, who has just asked the same, twice
    marked = 0
    for made in variants("query", name, list(world.candidates), world.candidates):
        for _ in range(2):
            own = await world.send(made, world.ada.token)
            read_body(made, own)
        marked += bool(world.seen(own, made.variables))
        if _is_personal(made):
            assert_not_cached(made, own)
        # when Bob, somebody with all rights, and nobody in particular ask it
        for token in (world.bob.token, world.as_admin(world.bob), None):
            response = await world.send(made, token)
            # then nothing of hers is in the answer, and it is kept by nobody
            assert_nothing_of_ada(world, made, response)
            if _is_personal(made):
                assert_not_cached(made, response)
    # and Ada's own answers did show her things, where the field is about a viewer
    assert (marked > 0) == (name in MARKED), f"{name}: {marked}"


# Root fields in whose answers a viewer finds things of her own.
MARKED = {
    "node",
    "nodes",
    "viewer",
    "playbackSession",
    "movie",
    "movies",
    "search",
    "tvShow",
    "tvShows",
}


# ---- rights


def _with_rights() -> list[tuple[str, str, str]]:
    return [
        (kind, name, role)
        for kind in ("query", "mutation")
        for name in root_fields(kind)
        if (role := operations.required_role(kind, name)) is not None
    ]


@pytest.mark.parametrize(("kind", "name", "role"), _with_rights())
async def test_what_needs_rights_asks_for_them(
    world: World, kind: str, name: str, role: str
) -> None:
    before = await world.stored()
    made = next(variants(kind, name, [FILM], {FILM: "Movie"}))
    # nobody in particular has to sign in
    assert codes_of(read_body(made, await world.send(made, None))) == {"UNAUTHENTICATED"}
    # and who is signed in has to have the role
    if role != "USER":
        for token in (world.ada.token, world.bob.token):
            assert codes_of(read_body(made, await world.send(made, token))) == {"FORBIDDEN"}
    assert await world.stored() == before
