"""Check that the settings can be read as a start reads them; no service is called.

What a start would refuse is built or parsed here by the same functions, so that `check` and `serve`
cannot differ. All faults are told at once, by setting.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from email.utils import parseaddr

from services import http_client
from services.accounts.token_keys import open_keys
from services.cdn import build_cdn
from services.errors import StartupError
from services.http_client import is_web_address
from services.limits.client_address import parse_networks
from services.production_check import Finding, Severity
from services.providers import build_providers
from services.redis.link import check_address
from services.settings.settings import Settings
from services.tmdb.client import parse_base_url

Reading = Callable[[Settings], object]  # raises StartupError where a setting cannot be read


def list_faults(settings: Settings, readings: Mapping[str, Reading] | None = None) -> list[Finding]:
    """List the settings that no start would take, by default those read here."""
    faults = []
    for setting, read in (readings or _READINGS).items():
        try:
            read(settings)
        except StartupError as error:
            faults.append(_build_fault(setting, str(error)))
    return faults


def _build_fault(setting: str, text: str) -> Finding:
    """The fault of the setting that the text begins with, else of `setting`."""
    first_word = text.partition(" ")[0].strip(":,")
    if first_word.lower() in Settings.model_fields:
        setting = first_word
    return Finding(Severity.REFUSED, setting, "is not fit", text, is_hard=True)


def reject_faults(settings: Settings) -> None:
    """Refuse to start with settings that cannot be read.

    Raises:
        StartupError: names all of them.
    """
    if faults := list_faults(settings):
        raise StartupError(" ".join(fault.remedy for fault in faults))


def add_findings(faults: Iterable[Finding], findings: Iterable[Finding]) -> list[Finding]:
    """Faults, then the findings of settings that have none."""
    listed = list(faults)
    faulty = {fault.setting for fault in listed}
    return [*listed, *(finding for finding in findings if finding.setting not in faulty)]


def _read_providers(settings: Settings) -> None:
    build_providers(settings, http_client.build_unconnected())


def _read_cdn(settings: Settings) -> None:
    build_cdn(settings, http_client.build_unconnected())


def _read_keys(settings: Settings) -> None:
    if settings.jwt_private_keys.get_secret_value().strip():  # none are production's own finding
        open_keys(settings)


def _read_address(name: str) -> Reading:
    def read(settings: Settings) -> None:
        address = getattr(settings, name)
        if address and not is_web_address(address):
            raise StartupError(f"{name.upper()} is not an address that starts with https://.")

    return read


def _read_redis_address(settings: Settings) -> None:
    if address := settings.redis_address():
        check_address(address, "REDIS_URL")


def _read_state_address(settings: Settings) -> None:
    if settings.state_redis_url:
        check_address(settings.state_redis_url, "STATE_REDIS_URL")


def _read_sender(settings: Settings) -> None:
    text = settings.mail_from
    if not text.isprintable() or "@" not in parseaddr(text)[1]:
        raise StartupError("MAIL_FROM is not a sender such as Marquee <no-reply@example.com>.")


def _read_hosts(settings: Settings) -> None:
    for name in settings.trusted_hosts.split(","):
        tail = name.strip().removeprefix("*.")
        if "*" in tail and tail != "*":
            raise StartupError("TRUSTED_HOSTS may have * at a name's beginning alone: *.host.")


def _read_pool_sizes(settings: Settings) -> None:
    if settings.mongodb_min_pool_size > settings.mongodb_max_pool_size:
        raise StartupError("MONGODB_MIN_POOL_SIZE is larger than MONGODB_MAX_POOL_SIZE.")


def _read_host(settings: Settings) -> None:
    try:
        socket.getaddrinfo(settings.host or None, settings.port)
    except (OSError, UnicodeError):
        raise StartupError("HOST is neither an address nor a name that is known here.") from None


def _read_metrics_port(settings: Settings) -> None:
    if settings.metrics_port is not None and settings.metrics_port == settings.port:
        raise StartupError("METRICS_PORT is the same as PORT.")


_READINGS: dict[str, Reading] = {
    "HOST": _read_host,
    "METRICS_PORT": _read_metrics_port,
    "JWT_PRIVATE_KEYS": _read_keys,
    "REDIS_URL": _read_redis_address,
    "STATE_REDIS_URL": _read_state_address,
    "MONGODB_MIN_POOL_SIZE": _read_pool_sizes,
    "TRUSTED_HOSTS": _read_hosts,
    "TRUSTED_PROXIES": lambda one: parse_networks(one.trusted_proxies, "TRUSTED_PROXIES"),
    "ABUSE_EXEMPT": lambda one: parse_networks(one.abuse_exempt, "ABUSE_EXEMPT"),
    "PUBLIC_URL": _read_address("public_url"),
    "PUBLIC_WEB_URL": _read_address("public_web_url"),
    "BREACHED_PASSWORDS_URL": _read_address("breached_passwords_url"),
    "MAIL_FROM": _read_sender,
    "PROVIDERS": _read_providers,
    "CDN_PROVIDER": _read_cdn,
    "TMDB_BASE_URL": parse_base_url,
}
