"""Providers of this process, in the order called: our library, then the configured ones.

A new kind of provider is one file and one entry struct here. Nothing outside is contacted unless a
setting names its address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated

import msgspec

from services.breaker.breaker import CircuitBreakers
from services.errors import StartupError
from services.http_client import HttpClient
from services.providers import vidking
from services.providers.base import Provider, ProviderInfo, SupportedHint
from services.providers.chain import Chain, Overrides
from services.providers.embed_template import EmbedTemplate
from services.providers.json_api import JsonApi
from services.providers.library import KEY as LIBRARY
from services.providers.library import Library
from services.providers.vidking import VidKing
from services.settings.settings import Settings

_Key = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9-]{0,31}\Z")]
# No login, query or fragment in an address: secrets belong into api_key.
_Base = Annotated[str, msgspec.Meta(pattern=r"\Ahttps?://[^\s/?#@]+(/[^\s?#]*)?\Z")]
_Template = Annotated[str, msgspec.Meta(pattern=r"\Ahttps?://[^\s/?#@{}]+[/?#]\S*\Z")]
_Secret = Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{1,512}\Z")]
_VIDKING_FIRST = 1
_TEMPLATED = {"vidsrc": "VidSrc", "embed_su": "Embed.su", "super_embed": "SuperEmbed"}
Build = Callable[[ProviderInfo], Provider]


class _Entry(msgspec.Struct, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    key: _Key
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    enabled: bool = True

    def build(self, info: ProviderInfo, client: HttpClient) -> Provider:
        raise NotImplementedError


class _Json(_Entry, tag="json"):
    base_url: _Base
    api_key: _Secret | None = None
    takes: list[SupportedHint] = []

    def build(self, info: ProviderInfo, client: HttpClient) -> Provider:
        return JsonApi(info, client, self.base_url, self.api_key, self.takes)


class _Embed(_Entry, tag="embed"):
    url_template: _Template
    tv_url_template: _Template | None = None

    def build(self, info: ProviderInfo, client: HttpClient) -> Provider:
        return EmbedTemplate(info, self.url_template, self.tv_url_template)


_Kinds = _Json | _Embed


def open_chain(
    settings: Settings,
    client: HttpClient,
    overrides: Overrides = dict,
    breakers: CircuitBreakers | None = None,
) -> Chain:
    """Open the chain of the configured providers; without `breakers` it makes its own.

    Raises:
        StartupError: a setting of providers is wrong; names it, and the entry.
    """
    return Chain(
        build_providers(settings, client),
        deadline_seconds=settings.provider_deadline_seconds,
        timeout_seconds=settings.provider_timeout_seconds,
        hedge_seconds=settings.provider_hedge_seconds,
        max_calls=settings.provider_max_calls,
        breakers=breakers,
        overrides=overrides,
    )


def build_providers(settings: Settings, client: HttpClient) -> list[Provider]:
    """Build the providers in order: library, VidKing if first, PROVIDERS, VidKing, templates.

    All but the first enabled one after the library are fallbacks.

    Raises:
        StartupError: a setting of providers is wrong; names it, and the entry.
    """
    providers: list[Provider] = [Library()]
    has_primary = False
    for info, build in _list_configured(settings, client):
        fallback = info.is_fallback or has_primary
        provider = build(replace(info, priority=len(providers) + 1, is_fallback=fallback))
        if any(info.key == other.info.key for other in providers):
            raise StartupError(f"PROVIDERS: the key {info.key} is taken.")
        providers.append(provider)
        has_primary = has_primary or info.enabled
    return providers


def _list_configured(
    settings: Settings, client: HttpClient
) -> Iterator[tuple[ProviderInfo, Build]]:
    is_first = settings.vidking_priority == _VIDKING_FIRST
    if is_first:
        yield from _list_vidking(settings, client)
    for position, raw in enumerate(_parse_entries(settings), start=1):
        yield _parse_entry(position, raw, client)
    if not is_first:
        yield from _list_vidking(settings, client)
    yield from _list_templated(settings)


def _list_vidking(settings: Settings, client: HttpClient) -> Iterator[tuple[ProviderInfo, Build]]:
    address = settings.vidking_base_url
    if not address:
        if settings.vidking_enabled:
            raise StartupError("VIDKING_ENABLED needs VIDKING_BASE_URL, the address of its API.")
        return
    _validate("VIDKING_BASE_URL", address, _Base)
    key = settings.vidking_api_key.get_secret_value() or None
    if key is not None:
        _validate("VIDKING_API_KEY", key, _Secret)
    info = ProviderInfo(
        vidking.KEY,
        "VidKing",
        enabled=settings.vidking_enabled,
        is_fallback=settings.vidking_priority != _VIDKING_FIRST,
    )
    build = _with_setting_name("VIDKING_BASE_URL", lambda info: VidKing(info, client, address, key))
    yield info, build


def _list_templated(settings: Settings) -> Iterator[tuple[ProviderInfo, Build]]:
    for key, name in _TEMPLATED.items():
        templates: dict[str, str] = {
            setting.upper(): getattr(settings, setting)
            for setting in (f"{key}_template", f"{key}_tv_template")
        }
        for setting, template in templates.items():
            if template:
                _validate(setting, template, _Template)
        if any(templates.values()):
            yield ProviderInfo(key, name), _from_templates(key.upper(), *templates.values())


def _from_templates(setting: str, film: str, episode: str) -> Build:
    settings_names = f"{setting}_TEMPLATE, {setting}_TV_TEMPLATE"
    return _with_setting_name(settings_names, lambda info: EmbedTemplate(info, film, episode))


def _with_setting_name(label: str, build: Build) -> Build:
    """The same, naming in its errors what is to be mended."""

    def build_or_explain(info: ProviderInfo) -> Provider:
        try:
            return build(info)
        except StartupError as error:
            raise StartupError(f"{label}: {error}.") from None

    return build_or_explain


def _validate(setting: str, text: str, kind: object) -> None:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        raise StartupError(f"{setting} is not of the shape that .env.example tells.") from None


def _parse_entries(settings: Settings) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(settings.providers.get_secret_value(), type=list[msgspec.Raw])
    except msgspec.DecodeError:
        raise StartupError("PROVIDERS is not a JSON list of providers.") from None


def _parse_entry(position: int, raw: msgspec.Raw, client: HttpClient) -> tuple[ProviderInfo, Build]:
    label = f"PROVIDERS entry {position}{_describe_entry(raw)}"
    try:
        entry: _Entry = msgspec.json.decode(raw, type=_Kinds)
    except msgspec.DecodeError as error:
        raise StartupError(f"{label}: {error}.") from None
    info = ProviderInfo(entry.key, entry.name, enabled=entry.enabled)
    return info, _with_setting_name(label, lambda info: entry.build(info, client))


def _describe_entry(raw: msgspec.Raw) -> str:
    """The key of an entry that may be wrong in any way, for the message."""
    try:
        key = msgspec.json.decode(raw, type=dict[str, object]).get("key")
    except msgspec.DecodeError:
        return ""
    return f" ({str(key)[:40]!r})" if key else ""


__all__ = ["LIBRARY", "Chain", "in_order", "open_chain"]
