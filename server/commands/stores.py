"""Which stores a command uses: those of the settings, else the private ones of a running `dev`."""

from __future__ import annotations

from urllib.parse import urlsplit

from services.embedded.folders import find_address
from services.settings.settings import Settings

_SOCKET = "unix"


def find_private_stores(settings: Settings) -> Settings:
    """The settings with the addresses of what runs in DATA_DIR, where they name no store.

    Production names its own: there the settings stay as they are.
    """
    if settings.is_production:
        return settings
    addresses: dict[str, str | None] = {}
    if not settings.mongodb_uri:
        addresses["mongodb_uri"] = find_address(settings.data_dir / "mongo", "mongod")
    if not settings.redis_address():
        addresses["redis_url"] = find_address(settings.data_dir / "redis", "redis-server")
    found = {name: address for name, address in addresses.items() if address is not None}
    return settings.model_copy(update=found)


def list_stores(settings: Settings) -> dict[str, str]:
    """Addresses of the stores without logins and options, by what they are."""
    addresses = {
        "mongodb": settings.mongodb_uri,
        "redis": settings.redis_address(),
        "state_redis": settings.state_redis_url,
    }
    return {name: _shorten(address) for name, address in addresses.items() if address}


def _shorten(address: str) -> str:
    """Scheme, hosts and path; what may be a secret stands before an @ or behind a ?."""
    scheme, _, tail = address.partition("://")
    if scheme == _SOCKET:
        return f"{scheme}://{urlsplit(address).path}"
    authority, slash, path = tail.partition("/")
    hosts = authority.rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{hosts}{slash}{path.partition('?')[0]}".rstrip("/")
