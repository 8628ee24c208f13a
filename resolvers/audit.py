"""The audit log: who did what to whom, from where, in which request. Never secrets.

Promise: what is recorded has happened already, so recording neither fails nor undoes it, and delays
it by a second at most. Entries that MongoDB does not store in time go into the process's own log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import models
from models import AuditEvent
from models.ops.audit import Fact
from resolvers.context import Context
from services.limits.address_prefixes import shorten_address
from services.telemetry import metrics
from services.telemetry.logs import get_logger, is_secret

__all__ = ["AuditEvent", "Fact", "record"]

_WAIT_SECONDS = 1.0
_MOST_WRITING = 100
_MOST_FACTS = 20
_MOST_ITEMS = 50
_MOST_LETTERS = 200

_writing: set[asyncio.Task[None]] = set()
log = get_logger("audit")


async def record(
    context: Context, event: AuditEvent, *, subject: str | None = None, **facts: Fact
) -> None:
    """Add an entry about what the context's viewer has just done.

    Args:
        subject: the id of whom or what it was done to.
        facts: short and no secrets; long ones are cut, those with a secret's name are blanked.
    """
    entry = _entry(context, event, subject, facts)
    if len(_writing) >= _MOST_WRITING:
        _log_lost(entry, "too many at once")
        return
    task = asyncio.create_task(_write(entry))
    _writing.add(task)
    task.add_done_callback(_writing.discard)
    # The insert goes on behind when its time is over, and when nobody waits for the answer.
    await asyncio.wait({task}, timeout=_WAIT_SECONDS)


async def _write(entry: models.AuditEntry) -> None:
    try:
        await models.insert_audit_entry(entry)
    except Exception as error:  # the operation it tells of is done and must not fail for it
        _log_lost(entry, repr(error)[:_MOST_LETTERS])
    else:
        metrics.audit_entries_total.labels("written").inc()


def _log_lost(entry: models.AuditEntry, reason: str) -> None:
    metrics.audit_entries_total.labels("lost").inc()
    log.error(
        "audit_entry_not_stored",
        why=reason,
        what=entry.event.value,
        actor=entry.actor,
        subject=entry.subject,
        request=entry.request_id,
        address=entry.address,
        at=entry.at.isoformat(),
        facts=entry.facts,
    )


def _entry(
    context: Context, event: AuditEvent, subject: str | None, facts: Mapping[str, Fact]
) -> models.AuditEntry:
    at = datetime.fromtimestamp(context.runtime.clock(), UTC)
    days = context.runtime.settings.audit_days
    return models.AuditEntry(
        id=models.ids.new("audit"),
        event=event,
        actor=context.viewer_id,
        subject=subject,
        request_id=context.request_id[:_MOST_LETTERS],
        address=shorten_address(context.client_address),
        at=at,
        facts={name: _sanitize(name, fact) for name, fact in list(facts.items())[:_MOST_FACTS]},
        expires_at=at + timedelta(days=days) if days else None,
    )


def _sanitize(name: str, fact: Fact) -> Fact:
    if is_secret(name) and isinstance(fact, str | list):
        return "***"
    if isinstance(fact, str):
        return _truncate(fact)
    if isinstance(fact, list):
        return [_truncate(item) for item in fact[:_MOST_ITEMS]]
    return fact


def _truncate(text: str) -> str:
    """Cut a text, and make it storable: half a surrogate pair from outside is no valid Unicode."""
    return text[:_MOST_LETTERS].encode(errors="replace").decode()
