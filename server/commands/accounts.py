"""`python -m server account ...` and `audit`: export or delete an account, change its role."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import orjson

import models
from resolvers.accounts import personal_data
from resolvers.context import Context, Runtime
from resolvers.opening import open_runtime
from services.errors import CodedError, StartupError
from services.settings.settings import Settings

_READ_MS = 60_000  # nobody waits for an answer as for a request's


async def export(settings: Settings, email: str, out: Path | None) -> None:
    """Print the account's data as JSON, or write it to a file only this user can read.

    Raises:
        StartupError: there is no such account, a store does not answer, or the file exists.
    """
    async with open_runtime(_with_long_timeout(settings)) as runtime:
        await export_to(runtime, email, out)


async def export_to(runtime: Runtime, email: str, out: Path | None) -> None:
    """Print or write the account's data; see `export`."""
    try:
        document = await personal_data.export(Context(runtime), email)
    except CodedError as error:
        raise StartupError(error.message) from error
    text = orjson.dumps(
        document, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    )
    if out is None:
        with suppress(BrokenPipeError):
            sys.stdout.write(text.decode())
        return
    _write_private(out, text)
    _print_line(f"{out}: everything about {document['account']}.")


def _write_private(out: Path, text: bytes) -> None:
    try:
        with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
    except OSError as error:
        raise StartupError(f"{out} cannot be written: {error.strerror}.") from error


async def delete(settings: Settings, email: str) -> None:
    """Delete an account.

    Raises:
        StartupError: there is no such account, or a store does not answer.
    """
    async with open_runtime(settings) as runtime:
        await delete_account(runtime, email)


async def delete_account(runtime: Runtime, email: str) -> None:
    """Delete an account on an open runtime; see `delete`."""
    try:
        user_id = await personal_data.delete(Context(runtime), email)
    except CodedError as error:
        raise StartupError(error.message) from error
    _print_line(f"{user_id}: deleted. Its data go while workers run; see accounts_erased_total.")


async def change_role(settings: Settings, email: str, role: models.Role) -> None:
    """Change an account's role.

    Raises:
        StartupError: there is no such account, or a store does not answer.
    """
    async with open_runtime(settings) as runtime:
        await change_account_role(runtime, email, role)


async def change_account_role(runtime: Runtime, email: str, role: models.Role) -> None:
    """Change an account's role on an open runtime; see `change_role`."""
    try:
        user_id = await personal_data.change_role(Context(runtime), email, role)
    except CodedError as error:
        raise StartupError(error.message) from error
    _print_line(f"{user_id}: {role.value} with the next sign-in; all sessions have ended.")


async def show_audit(settings: Settings, of: str | None, most: int) -> None:
    """Print the newest audit entries."""
    async with open_runtime(_with_long_timeout(settings)):
        await print_audit(of, most)


async def print_audit(of: str | None, most: int) -> None:
    """Print audit entries, one JSON object a line, newest first."""
    for entry in await models.audit_entries(most, of=of):
        line = {
            "at": entry.at,
            "event": entry.event.value,
            "actor": entry.actor,
            "subject": entry.subject,
            "address": entry.address,
            "request_id": entry.request_id,
            "facts": entry.facts,
        }
        _print_line(orjson.dumps(line).decode())


def _with_long_timeout(settings: Settings) -> Settings:
    return settings.model_copy(update={"mongodb_timeout_ms": _READ_MS})


def _print_line(line: str) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.write(line + "\n")
