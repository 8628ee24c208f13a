"""`python -m server abuse ...`: list suspicious and blocked prefixes, block and lift them.

Changes are in force in all processes within a second, and are in the audit log.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import typer

from models import AuditEvent
from resolvers import audit
from resolvers.context import Context, Runtime
from resolvers.opening import open_runtime
from server import serving
from server.commands.options import load_settings, print_line
from services.errors import StartupError, UpstreamUnavailable
from services.limits.abuse_rules import AbuseLevel, PrefixStatus
from services.limits.abuse_watch import SITE_BITS
from services.limits.client_address import Network, get_network, parse_address
from services.settings.settings import Settings

app = typer.Typer()
abuse = typer.Typer(no_args_is_help=True, help="Neighbourhoods of addresses that misbehave.")
app.add_typer(abuse, name="abuse")

_ACCOUNT = "user_"
_AWAY = "The state Redis does not answer: see STATE_REDIS_URL."


async def show_all(settings: Settings) -> int:
    """Print all prefixes, the worst first; return their number."""
    async with open_runtime(settings) as runtime:
        store = runtime.ops.abuse_watch.store
        try:
            statuses, _ = await store.list_statuses(runtime.clock())
            statuses.sort(key=lambda one: (-one.level, -one.score, one.prefix))
            for status in statuses:
                is_blocked = status.level is AbuseLevel.BLOCKED
                reason = await store.get_reason(status.prefix) if is_blocked else None
                print_line(_format_status(status, reason))
        except UpstreamUnavailable as error:
            raise StartupError(_AWAY) from error
    print_line(f"{len(statuses)} prefixes.")
    return len(statuses)


async def lift(settings: Settings, text: str) -> bool:
    """Lift the block of a prefix or an account and forget its score; return whether it had any."""
    prefix = text if text.startswith(_ACCOUNT) else parse_prefix(text)
    async with open_runtime(settings) as runtime:
        try:
            is_lifted = await runtime.ops.abuse_watch.store.lift(prefix)
        except UpstreamUnavailable as error:
            raise StartupError(_AWAY) from error
        if is_lifted:
            await _record(runtime, AuditEvent.ADDRESS_LIFTED, prefix)
    print_line(f"{prefix}: lifted." if is_lifted else f"{prefix}: nothing was held against it.")
    return is_lifted


async def block(settings: Settings, text: str, minutes: int, reason: str) -> None:
    """Block a prefix for so many minutes.

    Raises:
        StartupError: it is no prefix, it is exempt, or Redis does not answer.
    """
    prefix = parse_prefix(text)
    async with open_runtime(settings) as runtime:
        if runtime.ops.abuse_watch.is_exempt(prefix):
            raise StartupError(f"{prefix} is exempt: see ABUSE_EXEMPT and TRUSTED_PROXIES.")
        now = runtime.clock()
        until = now + 60 * minutes
        try:
            await runtime.ops.abuse_watch.store.block(prefix, until, now, reason)
        except UpstreamUnavailable as error:
            raise StartupError(_AWAY) from error
        await _record(runtime, AuditEvent.ADDRESS_BLOCKED, prefix, minutes=minutes, reason=reason)
    print_line(f"{prefix}: blocked until {_format_time(until)}.")


def parse_prefix(text: str) -> str:
    """The watched prefix of an address or a network.

    Raises:
        StartupError: it is neither an address nor a prefix that is watched.
    """
    address = parse_address(text)
    if address is not None:
        return str(get_network(address))
    with suppress(ValueError):
        network = ipaddress.ip_network(text)
        if network == get_network(network.network_address) or _is_site(network):
            return str(network)
    raise StartupError(f"{text!r} is no address, no IPv4 /24 and no IPv6 /64 or /48.")


def _is_site(network: Network) -> bool:
    return network.version == 6 and network.prefixlen == SITE_BITS


async def _record(runtime: Runtime, event: AuditEvent, prefix: str, **facts: audit.Fact) -> None:
    await audit.record(Context(runtime), event, subject=prefix, **facts)


def _format_status(status: PrefixStatus, reason: str | None) -> str:
    line = f"{status.prefix:<24} {status.level.label:<10} {status.score:7.1f} points"
    if status.level is AbuseLevel.BLOCKED:
        line += f"  until {_format_time(status.until)}"
    return line + (f"  {reason}" if reason else "")


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@abuse.command("list")
def list_command() -> None:
    """Show who is slowed down, held to known documents, or blocked."""
    serving.run(show_all(load_settings()))


@abuse.command("lift")
def lift_command(
    prefix: Annotated[
        str, typer.Argument(help="A /24, a /64, a /48, an address, or an account's id.")
    ],
) -> None:
    """Forget what is held against a prefix; its block ends within a second."""
    serving.run(lift(load_settings(), prefix))


@abuse.command("block")
def block_command(
    prefix: Annotated[str, typer.Argument(help="A /24, a /64 or an address, which means its own.")],
    reason: Annotated[str, typer.Option(help="Why; shown in the list.")],
    minutes: Annotated[int, typer.Option(min=1, max=43_200)] = 60,
) -> None:
    """Block a prefix for so long, within a second."""
    serving.run(block(load_settings(), prefix, minutes, reason))
