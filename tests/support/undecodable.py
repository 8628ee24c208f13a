"""One document of another form in each collection of tests/support/library.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import models
from models.mongo import ids
from tests.support.titles import film_id, show_id

VIEWER = ids.derive("user", "test", models.Role.USER.value)
WORD = "harbour"  # that all films of the library share
_NOW = datetime.now(UTC)
_LATER = _NOW + timedelta(days=1)

# What is changed in which document of the library.
_CHANGED: dict[type[models.StoredDocument], tuple[dict[str, Any], dict[str, Any]]] = {
    models.Movie: ({"_id": film_id(5)}, {"views": "12"}),
    models.Show: ({"_id": show_id(5)}, {"title": 5}),
    models.Season: ({"_id": "season_6.1"}, {"number": "one"}),
    models.Episode: ({"_id": "episode_7.1.1"}, {"number": None}),
    models.Genre: ({"_id": "genre_drama"}, {"name": 5}),
    models.Person: ({"name": {"$type": "string"}}, {"name": 5}),
    models.ViewingProgress: ({"_id": "progress_8"}, {"position_seconds": "far"}),
    models.Viewing: ({"_id": "viewing_9"}, {"watched_seconds": "long"}),
    models.WatchlistEntry: ({}, {"added_at": "x"}),
}


def _added() -> list[tuple[models.StoredDocument, dict[str, Any]]]:
    """Documents beside the library's, with what is wrong with them; empty: nothing."""
    return [
        (_user("cora"), {"display_name": 5}),
        (_login("whole"), {}),
        (_login("broken"), {"last_used_at": "now"}),
        (_key("whole"), {}),
        (_key("broken"), {"name": 5}),
        (
            models.RevokedAccess(
                id="revoked",
                kind="login",
                subject="login_9",
                at=_NOW.timestamp(),
                expires_at=_LATER,
            ),
            {"at": "now"},
        ),
        (_mail("mail_broken", _NOW - timedelta(hours=2)), {"email": 5}),
        (_mail("mail_whole", _NOW - timedelta(hours=1)), {}),
        (
            models.MailToken(
                id="token",
                token_hash="unknown",
                purpose=models.MailPurpose.CHANGE_EMAIL,
                user_id=VIEWER,
                email="new@example.org",
                expires_at=_LATER,
            ),
            {"user_id": 5},
        ),
        (models.ProviderSetting(id="vidking"), {"priority": "first"}),
        (_purge("purge_broken", _NOW - timedelta(hours=2)), {"tags": "all"}),
        (_purge("purge_whole", _NOW - timedelta(hours=1)), {}),
        (_job("job_broken", _NOW - timedelta(hours=2)), {"total": "all"}),
        (_job("job_whole", _NOW - timedelta(hours=1)), {}),
        (
            models.AuditEntry(id="audited", event=models.AuditEvent.SIGNED_IN, at=_NOW),
            {"at": "now"},
        ),
        (
            models.StoredSession(
                id="session_broken",
                user_id=VIEWER,
                playable_id=film_id(1),
                device=models.Device(key="tv"),
                started_at=_NOW,
            ),
            {"start_position_seconds": "far"},
        ),
        (
            models.ProgressRepair(id="repair", user_id=VIEWER, playable_id=film_id(2)),
            {"user_id": 5},
        ),
        (models.SearchWord(id=WORD), {"titles": "many"}),
        (models.ImportedTitle(id=film_id(1)), {"told": "nothing"}),
        (_registered("a" * 64), {"text": 5}),
        (_pushed("pushed-whole"), {}),
        (_pushed("pushed-broken"), {"text": 5}),
        (_release("web@whole", ["pushed-whole", "pushed-broken"]), {}),
        (_release("web@broken", ["pushed-whole"]), {"document_ids": "all"}),
    ]


def _registered(sha256: str) -> models.RegisteredDocument:
    return models.RegisteredDocument(
        id=sha256, text="{ __typename }", size=14, used_at=_NOW, expires_at=_LATER
    )


def _pushed(id_: str) -> models.PushedDocument:
    return models.PushedDocument(id=id_, text="{ __typename }", size=14)


def _release(id_: str, documents: list[str]) -> models.DocumentRelease:
    client, _, release = id_.partition("@")
    return models.DocumentRelease(id=id_, client=client, release=release, document_ids=documents)


def _user(name: str) -> models.User:
    return models.User(
        id=f"user_{name}", email=f"{name}@example.org", password_hash="-", display_name=name
    )


def _login(name: str) -> models.Login:
    return models.Login(
        id=f"login_{name}",
        user_id=VIEWER,
        token_hash=name,
        last_used_at=_NOW,
        expires_at=_LATER,
    )


def _key(name: str) -> models.ApiKey:
    return models.ApiKey(
        id=f"apikey_{name}", user_id=VIEWER, name=name, prefix=name, secret_hash=name
    )


def _mail(id_: str, due_at: datetime) -> models.MailRequest:
    return models.MailRequest(
        id=id_,
        purpose=models.MailPurpose.RESET_PASSWORD,
        email="nobody@example.org",
        due_at=due_at,
        expires_at=_LATER,
    )


def _purge(id_: str, due_at: datetime) -> models.Purge:
    return models.Purge(id=id_, due_at=due_at)


def _job(id_: str, heartbeat_at: datetime) -> models.Job:
    return models.Job(id=id_, kind="flush_progress", heartbeat_at=heartbeat_at)


async def break_one_of_each() -> set[type[models.StoredDocument]]:
    """Break a document of each collection; returns the collections' classes."""
    return await _break_titles() | await add_broken()


async def _break_titles() -> set[type[models.StoredDocument]]:
    for document, (where, change) in _CHANGED.items():
        changed = await document.get_pymongo_collection().update_one(where, {"$set": change})
        assert changed.modified_count == 1, document
    return set(_CHANGED)


async def add_broken() -> set[type[models.StoredDocument]]:
    """Add what is beside the titles, some of it broken, as it was; returns the broken classes."""
    for added, change in _added():
        collection = type(added).get_pymongo_collection()
        await collection.delete_one({"_id": added.id})
        await added.insert()
        if change:
            await collection.update_one({"_id": added.id}, {"$set": change})
    return {type(added) for added, change in _added() if change}
