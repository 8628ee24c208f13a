"""`python -m server account ...` and `audit`, as operators run them."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

import models
from models import AuditEvent
from resolvers import audit
from resolvers.context import Context, Runtime
from server.commands import accounts
from services.errors import StartupError
from services.settings.settings import Settings
from tests.support.processes import Process

EMAIL = "ada@example.org"
Run = Callable[..., Process]


@pytest.fixture
async def ada(runtime: Runtime) -> str:
    user = models.User(id="user_ada", email=EMAIL, password_hash="-", display_name="Ada")
    assert await models.insert_user(user)
    return user.id


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Iterator[Run]:
    """Starts the command on this worker's stores."""
    with ExitStack() as running:

        def start(*arguments: str) -> Process:
            environment = {
                "MONGODB_URI": settings.mongodb_uri or "",
                "MONGODB_DATABASE": settings.mongodb_database,
                "REDIS_URL": settings.redis_url or "",
                "DATA_DIR": str(tmp_path / "data"),
            }
            return running.enter_context(
                Process(tmp_path / "run", *arguments, environment=environment)
            )

        yield start


async def test_an_export_is_written_where_only_its_maker_reads_it(
    ada: str, run: Run, tmp_path: Path
) -> None:
    # when the data are written to a file
    process = run("account", "export", EMAIL, "--out", str(tmp_path / "ada.json"))
    assert await process.ended() == 0, process.output
    # then it is one JSON document, for nobody else
    exported = json.loads((tmp_path / "ada.json").read_text())
    assert (exported["account"], exported["collections"]["users"][0]["email"]) == (ada, EMAIL)
    assert stat.S_IMODE((tmp_path / "ada.json").stat().st_mode) == 0o600
    assert [entry.event for entry in await models.audit_entries(10)] == [
        AuditEvent.ACCOUNT_EXPORTED
    ]


async def test_an_export_is_printed_and_never_replaces_a_file(
    ada: str, runtime: Runtime, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await accounts.export_to(runtime, EMAIL, None)
    assert orjson.loads(capsys.readouterr().out)["account"] == ada
    # given a file that is there
    there = tmp_path / "there.json"
    there.write_text("kept")
    # then it stays
    with pytest.raises(StartupError, match="cannot be written: File exists"):
        await accounts.export_to(runtime, EMAIL, there)
    assert there.read_text() == "kept"


async def test_an_account_is_deleted_and_its_role_changed(
    ada: str, runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    await accounts.change_account_role(runtime, EMAIL, models.Role.EDITOR)
    assert (await models.users_by_id([ada]))[ada].role is models.Role.EDITOR
    await accounts.delete_account(runtime, EMAIL)
    assert await models.users_by_id([ada]) == {}
    assert capsys.readouterr().out.splitlines() == [
        "user_ada: EDITOR with the next sign-in; all sessions have ended.",
        "user_ada: deleted. Its data go while workers run; see accounts_erased_total.",
    ]
    for act in (accounts.delete_account,):
        with pytest.raises(StartupError, match="no account of this address"):
            await act(runtime, EMAIL)


async def test_nothing_is_deleted_unasked(ada: str, run: Run) -> None:
    # given nobody who answers the question
    process = run("account", "delete", EMAIL)
    # then nothing happens
    assert await process.ended() == 1
    assert "Delete the account of ada@example.org for good?" in process.output
    assert ada in await models.users_by_id([ada])
    # and with the answer given before it does
    process = run("account", "delete", EMAIL, "--yes")
    assert await process.ended() == 0, process.output
    assert await models.users_by_id([ada]) == {}


async def test_the_audit_log_is_printed_newest_first_and_by_whom(
    runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    # given three entries, two of which name somebody
    context = Context(runtime, request_id="request-1", client_address="203.0.113.9")
    await audit.record(context, AuditEvent.SIGNED_IN, subject="user_1")
    await audit.record(context, AuditEvent.SIGNED_IN, subject="user_2")
    await audit.record(context, AuditEvent.SIGNED_OUT, subject="user_1", sessions=2)
    # when one's are printed, and then the newest of all
    await accounts.print_audit("user_1", 10)
    await accounts.print_audit(None, 1)
    # then they come a line each
    lines = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["subject"]) for line in lines] == [
        ("SIGNED_OUT", "user_1"),
        ("SIGNED_IN", "user_1"),
        ("SIGNED_OUT", "user_1"),
    ]
    assert (lines[0]["address"], lines[0]["request_id"], lines[0]["facts"]) == (
        "203.0.113.0",
        "request-1",
        {"sessions": 2},
    )


async def test_the_tier_of_an_account_is_changed_and_audited(
    ada: str, runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    await accounts.change_tier(runtime, EMAIL, models.AccountTier.PREMIUM)
    assert capsys.readouterr().out.startswith(f"{ada}: PREMIUM; ")
    (user,) = await models.list_users(None, models.AccountTier.PREMIUM, 10)
    assert user.id == ada
    (entry,) = await models.audit_entries(10)
    assert (entry.event, entry.actor) == (AuditEvent.TIER_CHANGED, None)
    assert entry.facts == {"tier": "PREMIUM", "by": "command line"}
    with pytest.raises(StartupError, match="no account of this address"):
        await accounts.change_tier(runtime, "eve@example.org", models.AccountTier.API)


async def test_accounts_are_listed_and_found(
    ada: str, runtime: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    # given an operator beside, registered later, and an account that was deleted
    for name, role, deleted_at in (
        ("olga", models.Role.OPERATOR, None),
        ("gone", models.Role.USER, models.utc_now()),
    ):
        user = models.User(
            id=f"user_{name}",
            email=f"{name}@example.org",
            password_hash="-",
            display_name=name,
            role=role,
            deleted_at=deleted_at,
        )
        assert await models.insert_user(user)

    async def listed(role: models.Role | None, most: int) -> list[str]:
        await accounts.print_accounts(runtime, role, None, most)
        lines = capsys.readouterr().out.splitlines()
        assert "password_hash" not in "".join(lines)
        return [orjson.loads(line)["id"] for line in lines]

    assert await listed(None, 10) == ["user_olga", ada]
    assert await listed(None, 1) == ["user_olga"]
    assert await listed(models.Role.OPERATOR, 10) == ["user_olga"]
    # and one is found by address or id
    for text in (" ADA@example.org", ada):
        await accounts.print_account(runtime, text)
        assert orjson.loads(capsys.readouterr().out)["email"] == EMAIL
    for text in ("gone@example.org", "user_gone", "user_none"):
        with pytest.raises(StartupError, match="no such account"):
            await accounts.print_account(runtime, text)
