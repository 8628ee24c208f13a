"""The providers of this process, in the order asked: our library, then the configured ones.

A new kind of provider is one file and one entry struct here. Nothing outside is contacted unless
PROVIDERS names it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from services.errors import StartupError
from services.http_client import HttpClient
from services.providers.base import Provider, ProviderInfo
from services.providers.chain import Chain
from services.providers.embed_template import EmbedTemplate
from services.providers.json_api import JsonApi
from services.providers.library import KEY as LIBRARY
from services.providers.library import Library
from services.settings import Settings

_Key = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9-]{0,31}\Z")]
# No login, query or fragment in an address: secrets belong into api_key.
_Base = Annotated[str, msgspec.Meta(pattern=r"\Ahttps?://[^\s/?#@]+(/[^\s?#]*)?\Z")]
_Template = Annotated[str, msgspec.Meta(pattern=r"\Ahttps?://[^\s/?#@{}]+[/?#]\S*\Z")]
_Secret = Annotated[str, msgspec.Meta(pattern=r"\A[!-~]{1,512}\Z")]


class _Entry(msgspec.Struct, kw_only=True, tag_field="kind", forbid_unknown_fields=True):
    key: _Key
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    enabled: bool = True

    def build(self, info: ProviderInfo, client: HttpClient) -> Provider:
        raise NotImplementedError


class _Json(_Entry, tag="json"):
    base_url: _Base
    api_key: _Secret | None = None

    def build(self, info: ProviderInfo, client: HttpClient) -> Provider:
        return JsonApi(info, client, self.base_url, self.api_key)


class _Embed(_Entry, tag="embed"):
    url_template: _Template

    def build(self, info: ProviderInfo, client: HttpClient) -> Provider:
        return EmbedTemplate(info, self.url_template)


_Kinds = _Json | _Embed


def open_chain(settings: Settings, client: HttpClient) -> Chain:
    """
    Raises:
        StartupError: PROVIDERS is wrong; names the entry.
    """
    return Chain(
        in_order(settings, client),
        deadline_seconds=settings.provider_deadline_seconds,
        timeout_seconds=settings.provider_timeout_seconds,
    )


def in_order(settings: Settings, client: HttpClient) -> list[Provider]:
    """The library, then PROVIDERS; all but the first enabled one of PROVIDERS are fallbacks.

    Raises:
        StartupError: PROVIDERS is wrong; names the entry.
    """
    library = Library(settings.data_dir / "media", f"{settings.public_address}/media")
    providers: list[Provider] = [library]
    has_primary = False
    for place, raw in enumerate(_entries(settings), start=1):
        provider = _provider(place, raw, client, has_primary)
        if any(provider.info.key == other.info.key for other in providers):
            raise StartupError(f"PROVIDERS entry {place}: the key {provider.info.key} is taken.")
        providers.append(provider)
        has_primary = has_primary or provider.info.enabled
    return providers


def _entries(settings: Settings) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(settings.providers.get_secret_value(), type=list[msgspec.Raw])
    except msgspec.DecodeError:
        raise StartupError("PROVIDERS is not a JSON list of providers.") from None


def _provider(place: int, raw: msgspec.Raw, client: HttpClient, is_fallback: bool) -> Provider:
    try:
        entry: _Entry = msgspec.json.decode(raw, type=_Kinds)
        info = ProviderInfo(
            entry.key,
            entry.name,
            priority=place + 1,
            enabled=entry.enabled,
            is_fallback=is_fallback,
        )
        return entry.build(info, client)
    except (msgspec.DecodeError, StartupError) as error:
        raise StartupError(f"PROVIDERS entry {place}{_named(raw)}: {error}.") from None


def _named(raw: msgspec.Raw) -> str:
    """The key of an entry that may be wrong in any way, for the message."""
    try:
        key = msgspec.json.decode(raw, type=dict[str, object]).get("key")
    except msgspec.DecodeError:
        return ""
    return f" ({str(key)[:40]!r})" if key else ""


__all__ = ["LIBRARY", "Chain", "in_order", "open_chain"]
