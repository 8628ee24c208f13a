"""The providers with the operators' settings applied, and changing those settings.

Settings are in MongoDB. A change invalidates them in every process, which reads them anew with the
next title. While MongoDB does not answer, the settings this process read last apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import loaders
import models
from models import Role
from resolvers import audit
from resolvers.context import Context
from resolvers.input_errors import InputErrors
from resolvers.paging import require_kind
from services.errors import NotFound, UpstreamUnavailable, ValidationFailed
from services.providers.attempts import Override
from services.providers.base import ProviderInfo
from services.providers.overrides import apply_overrides
from services.providers.rollout import is_in_rollout
from services.redis import cache_keys
from services.telemetry.logs import get_logger

MAX_PRIORITY = 1000
_PREFIX = "provider_"
log = get_logger("providers")


async def providers(context: Context) -> list[ProviderInfo]:
    """All providers with the current settings, in the order they are called."""
    runtime = context.runtime
    with suppress(UpstreamUnavailable):  # then as this process read it last
        records = await context.load(loaders.AllProviderSettings, "all")
        runtime.sources.provider_settings.update(_overrides(records or ()))
    return apply_overrides(
        runtime.sources.providers.infos.values(), runtime.sources.provider_settings()
    )


async def find_providers(context: Context, requested_ids: Sequence[str]) -> dict[str, ProviderInfo]:
    """Providers by their ids; for `node`."""
    return {info.id: info for info in await providers(context) if info.id in requested_ids}


def provider(context: Context, key: str) -> ProviderInfo:
    """A provider by key, as last read; one that is no longer configured has its key alone."""
    runtime = context.runtime
    infos = apply_overrides(
        runtime.sources.providers.infos.values(), runtime.sources.provider_settings()
    )
    match = next((info for info in infos if info.key == key), None)
    return match if match is not None else ProviderInfo(key, key, enabled=False)


def select_providers(infos: Iterable[ProviderInfo], viewer_key: str | None) -> list[ProviderInfo]:
    """The enabled providers whose rollout includes this viewer."""
    return [
        info
        for info in infos
        if info.enabled and is_in_rollout(info.key, info.rollout_percent, viewer_key)
    ]


def viewer_key(context: Context) -> str | None:
    """The key that decides rollouts: the user's id, or an anonymous viewer's address."""
    return context.viewer_id or context.client_address


async def set_provider(
    context: Context,
    id_: str,
    *,
    enabled: bool | None = None,
    priority: int | None = None,
    rollout_percent: int | None = None,
) -> ProviderInfo:
    """Change the settings that are not None; in force in every process within a second.

    Raises:
        ValidationFailed, NotFound, Unauthenticated, Forbidden, UpstreamUnavailable.
    """
    viewer = context.require(Role.OPERATOR)
    changes = _changes(enabled, priority, rollout_percent)
    key = parse_provider_key(context, id_)
    now = datetime.fromtimestamp(context.runtime.clock(), UTC)
    await models.change_provider_setting(id_, changes, viewer.user_id, now)
    await context.cache.invalidate([cache_keys.PROVIDER_SETTINGS.key()])
    log.info("provider_set", provider=key, by=viewer.user_id, **changes)
    await audit.record(context, audit.AuditEvent.PROVIDER_SET, subject=id_, **changes)
    return next(info for info in await providers(context.for_event()) if info.key == key)


def parse_provider_key(context: Context, id_: str) -> str:
    """The key of the provider with this id.

    Raises:
        ValidationFailed: this is no id.
        NotFound: no provider has it.
    """
    require_kind(id_, "provider")
    key = id_.removeprefix(_PREFIX)
    if not id_.startswith(_PREFIX) or key not in context.runtime.sources.providers.infos:
        raise NotFound("There is no such provider.", path=["id"])
    return key


def _changes(
    enabled: bool | None, priority: int | None, rollout_percent: int | None
) -> dict[str, bool | int]:
    wrong = InputErrors()
    with wrong.collect():
        if priority is not None and not 1 <= priority <= MAX_PRIORITY:
            raise ValidationFailed(f"`priority` is 1 to {MAX_PRIORITY}.", path=["priority"])
    with wrong.collect():
        if rollout_percent is not None and not 0 <= rollout_percent <= 100:
            raise ValidationFailed("`rolloutPercent` is 0 to 100.", path=["rolloutPercent"])
    wrong.raise_any()
    values = {"enabled": enabled, "priority": priority, "rollout_percent": rollout_percent}
    changes = {name: value for name, value in values.items() if value is not None}
    if not changes:
        raise ValidationFailed("Say what to change.", path=["enabled"])
    return changes


def _overrides(records: Iterable[models.ProviderSettingRecord]) -> dict[str, Override]:
    return {
        record.id.removeprefix(_PREFIX): Override(
            record.enabled, record.priority, record.rollout_percent
        )
        for record in records
    }


def health_score(context: Context, info: ProviderInfo) -> float | None:
    """The provider's health from 0 to 1; None for one that is not configured."""
    health = context.runtime.sources.providers.health(info.key)
    return health.score if health is not None else None


def p95_latency_ms(context: Context, info: ProviderInfo) -> int | None:
    """The 95th percentile of latency; None without calls, or if it is not configured."""
    health = context.runtime.sources.providers.health(info.key)
    return health.p95_ms if health is not None else None
