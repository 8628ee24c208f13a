"""`python -m server account ...` and `audit`: find, change, export or delete an account."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import orjson
import typer

import models
from resolvers.accounts import administration, personal_data, second_factor
from resolvers.context import Context, Runtime
from resolvers.opening import open_runtime
from server import serving
from server.commands.options import load_settings, print_line
from services.errors import CodedError, StartupError
from services.settings.settings import Settings

app = typer.Typer()
account = typer.Typer(no_args_is_help=True, help="One person's account and data.")
app.add_typer(account, name="account")

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
    print_line(f"{out}: everything about {document['account']}.")


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
    print_line(f"{user_id}: deleted. Its data go while workers run; see accounts_erased_total.")


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
    print_line(f"{user_id}: {role.value} with the next sign-in; all sessions have ended.")


async def change_tier(runtime: Runtime, email: str, tier: models.AccountTier) -> None:
    """Change an account's tier.

    Raises:
        StartupError: there is no such account, or a store does not answer.
    """
    try:
        user = await administration.set_tier(Context(runtime), email, tier)
    except CodedError as error:
        raise StartupError(error.message) from error
    print_line(f"{user.id}: {user.tier.value}; its sessions follow with their next refresh.")


async def remove_second_factor(runtime: Runtime, email: str) -> None:
    """Remove an account's second factor and end its sessions.

    Raises:
        StartupError: there is no such account, it has none, or a store does not answer.
    """
    context = Context(runtime)
    try:
        user = await administration.find_account(context, email)
        await second_factor.remove_as_operator(context, user.id)
    except CodedError as error:
        raise StartupError(error.message) from error
    print_line(f"{user.id}: no second factor; all sessions have ended.")


async def print_accounts(
    runtime: Runtime, role: models.Role | None, tier: models.AccountTier | None, most: int
) -> None:
    """Print accounts, one JSON object a line, newest first."""
    for user in await administration.list_accounts(role, tier, most):
        _print_account(user)


async def print_account(runtime: Runtime, text: str) -> None:
    """Print the account with this address or id.

    Raises:
        StartupError: there is no such account, or a store does not answer.
    """
    try:
        _print_account(await administration.find_account(Context(runtime), text))
    except CodedError as error:
        raise StartupError(error.message) from error


def _print_account(user: models.UserRecord) -> None:
    line = {
        "id": user.id,
        "email": user.email,
        "email_verified": user.email_verified,
        "display_name": user.display_name,
        "role": user.role.value,
        "tier": user.tier.value,
        "created_at": user.created_at,
    }
    print_line(orjson.dumps(line).decode())


async def _run(settings: Settings, call: Callable[[Runtime], Awaitable[None]]) -> None:
    async with open_runtime(_with_long_timeout(settings)) as runtime:
        await call(runtime)


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
        print_line(orjson.dumps(line).decode())


def _with_long_timeout(settings: Settings) -> Settings:
    return settings.model_copy(update={"mongodb_timeout_ms": _READ_MS})


@app.command("audit")
def audit_command(
    of: Annotated[str | None, typer.Option(help="Only what this id did, or was done to.")] = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 100,
) -> None:
    """Print who did what, the newest first."""
    serving.run(show_audit(load_settings(), of, last))


@account.command("export")
def export_command(
    email: Annotated[str, typer.Argument(help="The account's address.")],
    out: Annotated[
        Path | None, typer.Option(help="A new file, instead of printing; yours alone to read.")
    ] = None,
) -> None:
    """Everything that is stored about a person, as one JSON document."""
    serving.run(export(load_settings(), email, out))


@account.command("delete")
def delete_command(
    email: Annotated[str, typer.Argument(help="The account's address.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an account; what is stored about the person goes behind that."""
    if not yes:
        typer.confirm(f"Delete the account of {email} for good?", abort=True)
    serving.run(delete(load_settings(), email))


@account.command("role")
def role_command(
    email: Annotated[str, typer.Argument(help="The account's address.")],
    role: Annotated[models.Role, typer.Argument(help="USER, EDITOR, OPERATOR or ADMIN.")],
) -> None:
    """Give an account another role and end its sessions."""
    serving.run(change_role(load_settings(), email, role))


@account.command("tier")
def tier_command(
    email: Annotated[str, typer.Argument(help="The account's address.")],
    tier: Annotated[models.AccountTier, typer.Argument(help="FREE, PREMIUM or API.")],
) -> None:
    """Give an account another tier, which its API keys have as well."""
    serving.run(_run(load_settings(), lambda runtime: change_tier(runtime, email, tier)))


@account.command("list")
def list_command(
    role: Annotated[models.Role | None, typer.Option(help="Only accounts of this role.")] = None,
    tier: Annotated[
        models.AccountTier | None, typer.Option(help="Only accounts of this tier.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, max=1_000, help="How many at most.")] = 100,
) -> None:
    """Print accounts, the newest first, one JSON object a line."""
    serving.run(_run(load_settings(), lambda runtime: print_accounts(runtime, role, tier, last)))


@account.command("find")
def find_command(
    who: Annotated[str, typer.Argument(help="An address, or an account's id.")],
) -> None:
    """Print one account as a JSON object."""
    serving.run(_run(load_settings(), lambda runtime: print_account(runtime, who)))


@account.command("remove-second-factor")
def remove_second_factor_command(
    email: Annotated[str, typer.Argument(help="The account's address.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the second factor of somebody who lost it; see first that it is them."""
    if not yes:
        typer.confirm(f"Remove the second factor of {email}?", abort=True)
    serving.run(_run(load_settings(), lambda runtime: remove_second_factor(runtime, email)))
