"""`python -m server documents ...`, on manifests as clients' build tools write them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import models
from models import AuditEvent
from resolvers.context import Context, Runtime
from resolvers.ops import document_releases
from server.commands import documents
from services.documents.trusted import MAX_TRUSTED
from services.errors import StartupError
from services.settings.settings import Settings
from tests.graph.engine.test_document_check import OTHERS, USING, schema_without
from tests.support.documents import push, sha256_of
from tests.support.processes import Process
from tests.support.runtimes import with_changes

FILMS = "query Films($n: Int) {\n  movies(first: $n) {\n    nodes {\n      ...Card\n    }\n  }\n}\n"
CARD = "fragment Card on Movie {\n  title\n  genres {\n    ...Tag\n  }\n}\n"
TAG = "fragment Tag on Genre {\n  name\n}\n"
WHOLE = f"{FILMS}\n{CARD}\n{TAG}"
ME = "query Me {\n  viewer {\n    id\n  }\n}"
RELAY = {"3be4abb81fa595e25eb725b2c6a87508": WHOLE, "b8e9f5c2c1a04e7d9f0a6b7c8d9e0f11": ME}
CODEGEN = {f"sha256:{sha256_of(text)}": text for text in (WHOLE, ME)}
CODEGEN_SHA1 = {"d9b0c5a1e5a9f6c3b2a1908070605040302010ff": ME}
APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {"id": sha256_of(WHOLE), "name": "Films", "type": "query", "body": WHOLE},
        {"id": sha256_of(ME), "name": "Me", "type": "query", "body": ME},
    ],
}
MANIFESTS: dict[str, Any] = {
    "Apollo's": APOLLO,
    "Relay's": RELAY,
    "the client preset's": CODEGEN,
    "the client preset's, by SHA-1": CODEGEN_SHA1,
}


def write(folder: Path, content: Any, name: str = "manifest.json") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


async def stored() -> dict[str, str]:
    return {one.id: one.text for one in await models.list_pushed_documents()}


@pytest.mark.parametrize("kind", MANIFESTS)
async def test_each_kind_of_manifest_is_pushed(
    runtime: Runtime, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = MANIFESTS[kind]
    assert await documents.push(runtime, [write(tmp_path, manifest)], "web", "1.4.0")
    # then each document is stored under its id, and the release names them
    entries = manifest.get("operations")
    pairs = {one["id"]: one["body"] for one in entries} if entries else manifest
    expected = {id_.removeprefix("sha256:"): text for id_, text in pairs.items()}
    assert await stored() == expected
    (release,) = await models.list_releases()
    assert (release.client, release.release, set(release.document_ids)) == (
        "web",
        "1.4.0",
        set(expected),
    )
    assert f"{len(expected)} of {len(expected)} are new" in capsys.readouterr().out
    (entry,) = await models.audit_entries(10)
    assert (entry.event, entry.subject) == (AuditEvent.DOCUMENTS_PUSHED, "web|1.4.0")


async def test_a_folder_is_pushed_with_the_fragments_of_other_files(
    runtime: Runtime, tmp_path: Path
) -> None:
    write(tmp_path, FILMS, "pages/films.graphql")
    write(tmp_path, ME, "me.gql")
    write(tmp_path, CARD, "fragments/card.graphql")
    write(tmp_path, TAG, "fragments/tag.graphql")
    write(tmp_path, "no document", "readme.md")
    assert await documents.push(runtime, [tmp_path], "web", "1")
    # then a file is a document as it is, with the fragments that it needs of others
    texts = set((await stored()).values())
    assert ME in texts
    (films,) = texts - {ME}
    assert films.startswith(FILMS.rstrip())
    assert films.count("fragment Card") == films.count("fragment Tag") == 1
    assert set(await stored()) == {sha256_of(text) for text in texts}


async def test_nothing_is_pushed_if_one_document_does_not_run(
    runtime: Runtime, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, {"good": ME, "bad": "query Bad { nope }"})
    assert not await documents.push(runtime, [path], "web", "1")
    printed = capsys.readouterr().out
    assert "✖  bad\n   Cannot query field 'nope' on type 'Query'." in printed
    assert "2 documents: 1 broken, 0 mixed." in printed
    assert await stored() == {}
    assert await models.list_releases() == []


async def test_an_id_keeps_its_text(runtime: Runtime, tmp_path: Path) -> None:
    await push(runtime, {"me": ME})
    path = write(tmp_path, {"me": "query Me { __typename }", "new": ME})
    with pytest.raises(StartupError, match="Another text has the id me"):
        await documents.push(runtime, [path], "tv", "1")
    assert await stored() == {"me": ME}


@pytest.mark.parametrize(
    ("client", "version"), [("", "1"), ("web", ""), ("x" * 65, "1"), ("a|b", "1"), ("web", "1\n")]
)
async def test_names_have_bounds(
    runtime: Runtime, tmp_path: Path, client: str, version: str
) -> None:
    with pytest.raises(StartupError, match="is no name"):
        await documents.push(runtime, [write(tmp_path, RELAY)], client, version)
    assert await stored() == {}


async def test_there_are_only_so_many_documents_and_releases(runtime: Runtime) -> None:
    context = Context(runtime)
    # given as many releases as there may be
    for n in range(models.MAX_RELEASES):
        await models.store_release(models.ReleaseName("web", f"{n}"), ["a"])
    with pytest.raises(Exception, match="There are 100 releases"):
        await document_releases.push(context, models.ReleaseName("web", "x"), {"a": ME})
    # but one of them may be pushed again
    await document_releases.push(context, models.ReleaseName("web", "7"), {"a": ME})
    # and no more documents come than there may be
    many = {f"d{n}": f"query Q{n} {{ __typename }}" for n in range(MAX_TRUSTED)}
    with pytest.raises(Exception, match=f"more than {MAX_TRUSTED} documents"):
        await document_releases.push(context, models.ReleaseName("web", "7"), many)
    assert await stored() == {"a": ME}


async def test_a_check_names_what_a_schema_breaks_among_the_pushed(
    runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    await push(runtime, USING | OTHERS)
    texts = await stored()
    assert documents.check(runtime.settings, texts)
    capsys.readouterr()
    # when a field would go
    assert not documents.check(runtime.settings, texts, schema_without("Movie", "tagline"))
    # then exactly the documents that use it are named
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines if line.startswith("✖")} == USING.keys()
    assert lines[-1] == f"{len(USING | OTHERS)} documents: {len(USING)} broken, 0 mixed."


async def test_a_check_names_documents_that_mix_public_and_private(
    runtime: Runtime, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = "query Home { genres { id } viewer { id } }"
    texts = documents.read_files([write(tmp_path, {"home": mixed})])
    assert documents.check(runtime.settings, texts)
    assert capsys.readouterr().out.splitlines() == [
        "⚠  home Home",
        "   is private as a whole: Query.viewer beside the public Query.genres",
        "1 documents: 0 broken, 1 mixed.",
    ]


async def test_the_list_tells_releases_and_what_is_known_of_each_document(
    runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    await push(runtime, {"genres": "query Genres { genres { id } }", "me": ME})
    await push(runtime, {"me": ME}, client="tv", version="2")
    now = models.utc_now()
    await models.mark_pushed_used(["me"], now, now)
    await documents.show_all(runtime, with_documents=True)
    tv, web, total, genres, me = capsys.readouterr().out.splitlines()
    assert tv.split()[:2] == ["tv", "2"]
    assert web.split()[:2] == ["web", "1.0"]
    assert total == "2 releases, 2 documents."
    assert genres.startswith("genres Genres  web  ")
    assert genres.endswith("points  public 300 s  never used")
    assert me.startswith("me Me  tv+web  ")
    assert "points  private  used 20" in me


async def test_a_pruned_release_takes_what_no_other_has(
    runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    for version, texts in {"1": {"a": ME, "b": WHOLE}, "2": {"b": WHOLE}}.items():
        await push(runtime, texts, version=version)
    tomorrow = with_changes(runtime, clock=lambda: models.utc_now().timestamp() + 86_400)
    # when the first release goes a day later
    name = models.ReleaseName("web", "1")
    pruned = await document_releases.prune_release(Context(tomorrow), name)
    # then what the second one has stays
    assert (pruned.releases, pruned.documents) == (1, 1)
    assert await stored() == {"b": WHOLE}
    assert [one.release for one in await models.list_releases()] == ["2"]
    # and what was pushed within the hour stays in any case
    await push(runtime, {"c": ME}, version="3")
    await documents.prune(runtime, "web", "3", None, None)
    assert set(await stored()) == {"b", "c"}
    assert "1 releases and 0 documents are deleted." in capsys.readouterr().out


async def test_older_releases_and_unused_documents_are_pruned(runtime: Runtime) -> None:
    for version in ("1", "2", "3"):
        await push(runtime, {f"of-{version}": f"query Q{version} {{ __typename }}"}, "web", version)
    await push(runtime, {"tv": ME}, client="tv")
    later = with_changes(runtime, clock=lambda: models.utc_now().timestamp() + 40 * 86_400)
    # given one that was used a month later
    month_later = models.utc_now() + timedelta(days=35)
    await models.mark_pushed_used(["tv"], month_later, month_later)
    # when all but the newest two go
    pruned = await document_releases.prune_older(Context(later), "web", 2)
    assert (pruned.releases, pruned.documents) == (1, 1)
    assert set(await stored()) == {"of-2", "of-3", "tv"}
    # and what nobody asked for within 30 days
    pruned = await document_releases.prune_unused(Context(later), 30)
    assert pruned.documents == 2
    assert set(await stored()) == {"tv"}


@pytest.mark.parametrize(
    "wanted",
    [
        (None, None, None, None),
        ("web", None, None, None),
        (None, "1", None, None),
        ("web", "1", 2, None),
        ("web", None, None, 3),
    ],
)
async def test_it_has_to_be_said_what_to_prune(runtime: Runtime, wanted: Any) -> None:
    with pytest.raises(StartupError, match="Say what to prune"):
        await documents.prune(runtime, *wanted)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("nonsense", "it is no manifest"),
        ({"sha256:" + "0" * 64: ME}, "is not the SHA-256 of its document"),
        ({"a b": ME}, "is no id of a document"),
        ({"me": ""}, "is no text of 1 to 15000 characters"),
    ],
)
async def test_a_file_that_is_no_manifest_is_told(
    runtime: Runtime, tmp_path: Path, content: Any, problem: str
) -> None:
    with pytest.raises(StartupError, match=problem):
        await documents.push(runtime, [write(tmp_path, content)], "web", "1")


async def test_the_command_s_status_tells_what_it_found(
    runtime: Runtime, settings: Settings, tmp_path: Path
) -> None:
    stores = {
        "MONGODB_URI": settings.mongodb_uri or "",
        "MONGODB_DATABASE": settings.mongodb_database,
        "REDIS_URL": settings.redis_url or "",
        "DATA_DIR": str(tmp_path / "data"),
    }
    manifest = str(write(tmp_path, USING))
    broken = str(write(tmp_path, schema_without("Movie", "tagline"), "new.graphql"))
    no_schema = str(write(tmp_path, "type Query {", "none.graphql"))
    release = ("--client", "web", "--version", "1")
    for arguments, status, said in (
        (("push", manifest, *release), 0, f"{len(USING)} of {len(USING)} are new"),
        (("check",), 0, "0 broken"),
        (("check", "--schema", broken), 1, f"{len(USING)} broken"),
        (("check", "--schema", no_schema), 2, "cannot be read"),
        (("list",), 0, "1 releases"),
        (("prune", "--client", "web", "--newest", "1"), 0, "0 releases and 0 documents"),
    ):
        with Process(tmp_path / "run", "documents", *arguments, environment=stores) as process:
            assert await process.ended() == status, process.output
            assert said in process.output
