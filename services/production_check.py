"""What settings must not be in production, and what had better be otherwise; nothing is asked.

A finding names the setting and what to do, never its value. `is_hard` ones stop a start; the others
that are refused stop `check --production`, which belongs before every release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from services.errors import StartupError
from services.limits.client_address import networks
from services.settings.settings import DEVELOPMENT_SECRET, Settings
from services.telemetry.logs import get_logger

_PUBLISHED_SECRETS = {DEVELOPMENT_SECRET, "super_secure_jwt_secret_change_in_production"}
_LEAST_SECRET_BYTES = 32
_LEAST_DIFFERENT_BYTES = 10  # fewer are a word repeated
_LONGEST_ACCESS_SECONDS = 3600
_LEAST_AUDIT_DAYS = 30
_NARROWEST_NETWORKS = {4: 8, 6: 16}  # bits; wider ones are not one's own
log = get_logger("posture")


class Level(Enum):
    REFUSED = "refused"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    level: Level
    setting: str
    what: str
    to_do: str
    is_hard: bool = False

    def __str__(self) -> str:
        return f"{self.setting} {self.what}: {self.to_do}."


Rule = Callable[[Settings], Iterator[Finding]]


def findings(settings: Settings) -> list[Finding]:
    """Of these settings in production, the refused ones first."""
    found = [finding for rule in _RULES for finding in rule(settings)]
    return sorted(found, key=lambda finding: finding.level is not Level.REFUSED)


def refuse_unsafe(settings: Settings) -> None:
    """Production starts only with secrets of its own, and closed to other sites' scripts; what
    else is unsafe is logged.

    Raises:
        StartupError: names the setting at fault.
    """
    found = findings(settings) if settings.is_production else list(_secret_length(settings))
    hard = next((finding for finding in found if finding.is_hard), None)
    if hard is not None:
        raise StartupError(str(hard))
    for finding in found:
        if finding.level is Level.REFUSED:
            log.warning("unsafe_setting", setting=finding.setting, what=finding.what)


def _refused(setting: str, what: str, to_do: str, *, is_hard: bool = False) -> Finding:
    return Finding(Level.REFUSED, setting, what, to_do, is_hard)


def _warning(setting: str, what: str, to_do: str) -> Finding:
    return Finding(Level.WARNING, setting, what, to_do)


def _secret_length(settings: Settings) -> Iterator[Finding]:
    if len(settings.secret_bytes) < _LEAST_SECRET_BYTES:
        to_do = "set a longer random one"
        yield _refused("JWT_SECRET", "is shorter than 32 bytes", to_do, is_hard=True)


def _secrets(settings: Settings) -> Iterator[Finding]:
    yield from _secret_length(settings)
    secret = settings.jwt_secret.get_secret_value()
    if secret in _PUBLISHED_SECRETS:
        to_do = "set a random one of your own"
        yield _refused("JWT_SECRET", "is a published default", to_do, is_hard=True)
    elif len(set(secret)) < _LEAST_DIFFERENT_BYTES:
        yield _refused("JWT_SECRET", "repeats itself", "set a random one of your own")
    if not settings.jwt_private_keys.get_secret_value().strip():
        to_do = "make one with `python -m server keys new`"
        yield _refused("JWT_PRIVATE_KEYS", "is not set", to_do, is_hard=True)
    if settings.access_token_seconds > _LONGEST_ACCESS_SECONDS:
        what = "lets an access token live for more than an hour"
        yield _warning("ACCESS_TOKEN_SECONDS", what, "set 900")


def _openness(settings: Settings) -> Iterator[Finding]:
    if settings.introspection_allowed:
        what = "shows the schema, and suggestions of its names, to everybody"
        yield _refused("GRAPHQL_INTROSPECTION", what, "leave it empty, and hand out schema.graphql")
    origins = _listed(settings.cors_origin)
    if any("*" in origin for origin in origins) or "null" in origins:
        what = "opens the API to scripts of every site"
        yield _refused("CORS_ORIGIN", what, "name the web client's origins", is_hard=True)
    elif any(not _is_https(origin) for origin in origins):
        what = "names an origin that is not https, which others can pose as"
        yield _warning("CORS_ORIGIN", what, "name https origins only")
    hosts = _listed(settings.trusted_hosts)
    if not hosts or "*" in hosts:
        to_do = "name the hosts that clients reach the API at"
        yield _refused("TRUSTED_HOSTS", "serves every Host header", to_do)


def _proxies(settings: Settings) -> Iterator[Finding]:
    to_do = "name the addresses of the proxies in front, or none where there is none"
    if not _listed(settings.trusted_proxies):
        what = "is empty, so all clients behind a proxy count as one"
        yield _refused("TRUSTED_PROXIES", what, to_do)
        return
    try:
        trusted = networks(settings.trusted_proxies, "TRUSTED_PROXIES")
    except StartupError:
        yield _refused("TRUSTED_PROXIES", "names something that is no address", to_do)
        return
    if any(one.prefixlen < _NARROWEST_NETWORKS[one.version] for one in trusted):
        what = "believes every sender what it says of its address"
        yield _refused("TRUSTED_PROXIES", what, to_do)


def _addresses(settings: Settings) -> Iterator[Finding]:
    if not settings.public_url:
        to_do = "set the https address clients reach the API at"
        yield _refused("PUBLIC_URL", "is not set, so art and films have no address", to_do)
    elif not _is_https(settings.public_url):
        what = "is not https, so tokens can be read on the way"
        yield _refused("PUBLIC_URL", what, "set an https address")
    if not settings.public_web_url:
        what = "is empty, so mails hold codes instead of links"
        yield _warning("PUBLIC_WEB_URL", what, "set the web client's address")
    elif not _is_https(settings.public_web_url):
        yield _refused("PUBLIC_WEB_URL", "is not https", "set an https address")


def _mail(settings: Settings) -> Iterator[Finding]:
    if not settings.smtp_host:
        what = "is not set: no mail is sent"
        to_do = "set the mail server"
        if settings.needs_verified_email:
            what += ", and nobody can prove an address"
            to_do += ", or EMAIL_VERIFICATION_REQUIRED=false"
            yield _refused("SMTP_HOST", what, to_do)
        else:
            yield _warning("SMTP_HOST", what, to_do)
    elif settings.smtp_security == "none":
        what = "sends mails, and codes in them, in the clear"
        yield _refused("SMTP_SECURITY", what, "set starttls or tls")
    if settings.smtp_host and "localhost" in settings.mail_from:
        yield _warning("MAIL_FROM", "is an example", "set a sender your mail server may send as")
    if settings.email_verification_required is False:
        what = "lets accounts be made for addresses of others"
        yield _warning("EMAIL_VERIFICATION_REQUIRED", what, "leave it empty")


def _stores(settings: Settings) -> Iterator[Finding]:
    if not settings.mongodb_uri:
        yield _refused("MONGODB_URI", "is not set", "name a MongoDB replica set")
    elif "@" not in settings.mongodb_uri:
        what = "has no user: whoever reaches MongoDB may do everything"
        yield _warning("MONGODB_URI", what, "make a user for the API, see docs/operations.md")
    if settings.mongodb_write_concern in ("0", "1"):
        what = "loses acknowledged writes when the primary changes"
        yield _refused("MONGODB_WRITE_CONCERN", what, "set majority")
    addresses = {"REDIS_URL": settings.redis_address()}
    if settings.state_redis_url:
        addresses["STATE_REDIS_URL"] = settings.state_redis_url
    for name, address in addresses.items():
        if not address:
            yield _refused(name, "is not set", "name a Redis")
        elif not urlsplit(address).password:
            what = "has no password: whoever reaches Redis may do everything"
            yield _warning(name, what, "set one (ACL or requirepass)")


def _watches(settings: Settings) -> Iterator[Finding]:
    for name, mode in (
        ("RATE_LIMIT_MODE", settings.rate_limit_mode),
        ("ABUSE_MODE", settings.abuse_mode),
    ):
        if mode == "off":
            yield _refused(name, "is off", "set enforce")
        elif mode == "log":
            yield _warning(name, "only counts who would be refused", "set enforce")
    if not settings.throttles:
        yield _refused("THROTTLES", "is off: passwords can be tried without end", "set true")
    if 0 < settings.audit_days < _LEAST_AUDIT_DAYS:
        what = "forgets who did what before it may be asked"
        yield _warning("AUDIT_DAYS", what, f"set {_LEAST_AUDIT_DAYS} or more")
    if settings.log_level.lower() == "debug":
        yield _warning("LOG_LEVEL", "is debug, which tells more than is needed", "set info")


_RULES: Sequence[Rule] = (_secrets, _openness, _proxies, _addresses, _mail, _stores, _watches)


def _listed(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",") if part.strip()]


def _is_https(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "https" and bool(parts.hostname)
