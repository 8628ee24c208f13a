"""A text that is no id of this API is refused wherever an id is taken, and changes nothing."""

from __future__ import annotations

import pytest
from graphql import GraphQLInputObjectType, build_schema, get_named_type

import models
from resolvers.accounts.authentication import authenticate
from resolvers.accounts.input import build_user
from resolvers.context import Runtime
from tests.house.house import ROOT
from tests.support.api_client import GraphQL, Socket, token_for

DEVICE = '{key: "d", kind: WEB}'
EVENT = (
    'deviceKey: "d", eventId: "e1", positionSeconds: 1, durationSeconds: 9, '
    'occurredAt: "2026-01-01T00:00:00Z"'
)
# Where ids are taken, and an operation that takes one there; %s is the id.
PLACES = {
    "Query.node(id:)": "{ node(id: %s) { id } }",
    "Query.nodes(ids:)": "{ nodes(ids: [%s]) { id } }",
    "Query.person(id:)": "{ person(id: %s) { id } }",
    "Query.playbackSession(id:)": "{ playbackSession(id: %s) { id } }",
    "Viewer.progress(playableId:)": "{ viewer { progress(playableId: %s) { id } } }",
    "MovieBy.id": "{ movie(by: {id: %s}) { id } }",
    "TvShowBy.id": "{ tvShow(by: {id: %s}) { id } }",
    "MovieFilter.personId": "{ movies(filter: {personId: %s}) { nodes { id } } }",
    "NodeInput.id": "mutation { addToWatchlist(input: {id: %s}) { errors { code path } } }",
    "PlayableInput.playableId": (
        "mutation { markUnwatched(input: {playableId: %s}) { errors { code path } } }"
    ),
    "MarkWatchedInput.id": "mutation { markWatched(input: {id: %s}) { errors { code path } } }",
    "MarkWatchedInput.playableId": (
        "mutation { markWatched(input: {playableId: %s}) { errors { code path } } }"
    ),
    "DeleteHistoryInput.viewingId": (
        "mutation { deleteHistory(input: {viewingId: %s}) { errors { code path } } }"
    ),
    "DeleteHistoryInput.playableId": (
        "mutation { deleteHistory(input: {playableId: %s}) { errors { code path } } }"
    ),
    "LogoutInput.sessionId": (
        "mutation { logout(input: {sessionId: %s}) { errors { code path } } }"
    ),
    "StartPlaybackInput.playableId": (
        f"mutation {{ startPlayback(input: {{playableId: %s, device: {DEVICE}}}) "
        "{ errors { code path } } }"
    ),
    "ReportProgressInput.sessionId": (
        "mutation { reportProgress(input: {sessionId: %s, sequence: 0, positionSeconds: 1, "
        "state: PLAYING}) { errors { code path } } }"
    ),
    "StopPlaybackInput.sessionId": (
        "mutation { stopPlayback(input: {sessionId: %s}) { errors { code path } } }"
    ),
    "OfflineProgressInput.playableId": (
        'mutation { reportProgressBatch(input: {sentAt: "2026-01-01T00:00:00Z", '
        f"events: [{{playableId: %s, {EVENT}}}]}}) {{ errors {{ code path }} }} }}"
    ),
    "UpsertMovieInput.id": (
        'mutation { upsertMovie(input: {id: %s, title: "x"}) { errors { code path } } }'
    ),
    "SetProviderInput.id": (
        "mutation { setProvider(input: {id: %s, enabled: true}) { errors { code path } } }"
    ),
    "SetBreakerInput.id": (
        'mutation { setBreaker(input: {id: %s, state: OPEN, reason: "x"}) '
        "{ errors { code path } } }"
    ),
    "Subscription.progressChanged(playableId:)": (
        "subscription { progressChanged(playableId: %s) { id } }"
    ),
    "Subscription.jobChanged(id:)": "subscription { jobChanged(id: %s) { id } }",
}
NO_ID_OF_OURS = {"OfflineProgressInput.eventId"}  # the client's own
MALFORMED = ["no id", "", "movie", "movie_", "MOVIE_1", "movie_\u0661", "planet_1", "movie_1\n"]


def _places_of_ids() -> set[str]:
    places = set()
    for type_ in build_schema(
        (ROOT / "schema.graphql").read_text(encoding="utf-8")
    ).type_map.values():
        if type_.name.startswith("__") or not hasattr(type_, "fields"):
            continue
        for name, field in type_.fields.items():
            if isinstance(type_, GraphQLInputObjectType):
                values = {f"{type_.name}.{name}": field}
            else:
                values = {f"{type_.name}.{name}({key}:)": one for key, one in field.args.items()}
            places |= {at for at, one in values.items() if get_named_type(one.type).name == "ID"}
    return places


def test_every_place_that_takes_an_id_is_tried() -> None:
    assert set(PLACES) | NO_ID_OF_OURS == _places_of_ids()


async def _admin(runtime: Runtime) -> str:
    token = token_for(runtime, models.Role.ADMIN)
    viewer = await authenticate(runtime, f"Bearer {token}")
    assert viewer is not None
    admin = build_user("admin@example.org", "Admin", "no hash", models.utc_now())
    admin.id = viewer.user_id
    assert await models.insert_user(admin)
    return token


def _quoted(text: str) -> str:
    return '"' + text.replace("\n", "\\n") + '"'


@pytest.mark.parametrize("place", [one for one in PLACES if not one.startswith("Subscription")])
async def test_a_malformed_id_is_refused_with_its_path(
    graphql: GraphQL, runtime: Runtime, place: str
) -> None:
    token = await _admin(runtime)
    for text in MALFORMED:
        _, body = await graphql(PLACES[place].replace("%s", _quoted(text)), token=token)
        (error,) = _errors(body)
        assert error["code"] == "VALIDATION_FAILED", (text, body)
        assert error["path"], (text, body)
    assert await models.Viewing.get_pymongo_collection().count_documents({}) == 0
    assert await models.Movie.get_pymongo_collection().count_documents({}) == 0


@pytest.mark.parametrize("place", [one for one in PLACES if one.startswith("Subscription")])
async def test_a_subscription_to_a_malformed_id_is_refused(
    socket: Socket, runtime: Runtime, place: str
) -> None:
    await socket.initialised(await _admin(runtime))
    for number, text in enumerate(MALFORMED):
        await socket.subscribe(str(number), PLACES[place].replace("%s", _quoted(text)))
        answer = await socket.receive()
        assert answer["type"] == "error"
        assert answer["payload"][0]["extensions"]["code"] == "VALIDATION_FAILED", text


def _errors(body: dict[str, object]) -> list[dict[str, object]]:
    """Code and path of each error, of the answer or of the payload."""
    if "errors" in body:
        listed = body["errors"]
        assert isinstance(listed, list)
        return [{"code": one["extensions"]["code"], "path": one.get("path")} for one in listed]
    data = body["data"]
    assert isinstance(data, dict)
    (payload,) = data.values()
    errors: list[dict[str, object]] = payload["errors"]
    return errors
