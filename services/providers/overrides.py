"""Operators' overrides of providers as last read, and the resulting order.

The chain reads them for every title; the caller of the chain passes in the newest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.providers.attempts import Override
from services.providers.base import ProviderInfo
from services.providers.library import KEY as LIBRARY

_NO_OVERRIDE = Override()


class ProviderSettings:
    """Overrides by provider key, as this process last read them; call it to get them."""

    def __init__(self) -> None:
        self._newest: Mapping[str, Override] = {}

    def __call__(self) -> Mapping[str, Override]:
        return self._newest

    def update(self, overrides: Mapping[str, Override]) -> None:
        """Replace the overrides."""
        self._newest = overrides


def apply_overrides(
    infos: Iterable[ProviderInfo], overrides: Mapping[str, Override]
) -> list[ProviderInfo]:
    """List providers as they are called now, in that order.

    All but the first enabled one after the library are fallbacks.
    """
    ordered = sorted(
        (_apply_override(info, overrides.get(info.key, _NO_OVERRIDE)) for info in infos),
        # equals stay in the order of the settings, but for those that nobody checks
        key=lambda info: (info.priority, not info.is_checked),
    )
    primary_keys = (info.key for info in ordered if info.enabled and info.key != LIBRARY)
    primary = next(primary_keys, None)
    return [
        replace(info, is_fallback=info.key not in (primary, LIBRARY) and primary is not None)
        for info in ordered
    ]


def _apply_override(info: ProviderInfo, override: Override) -> ProviderInfo:
    return replace(
        info,
        enabled=info.enabled if override.enabled is None else override.enabled,
        priority=_first_set(override.priority, info.priority),
        rollout_percent=_first_set(override.rollout_percent, info.rollout_percent),
    )


def _first_set(changed: int | None, configured: int) -> int:
    return configured if changed is None else changed
