"""Check of the settings for production; it reads the settings alone and calls no service.

A finding names the setting and the remedy, never the value. Hard ones stop the start; the other
refused ones stop `check --production`, which belongs before every release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from services.errors import StartupError
from services.limits.client_address import parse_networks
from services.settings.settings import DEVELOPMENT_SECRET, Settings
from services.telemetry.logs import get_logger

_PUBLISHED_SECRETS = {DEVELOPMENT_SECRET, "super_secure_jwt_secret_change_in_production"}
_MIN_SECRET_BYTES = 32
_MIN_DIFFERENT_BYTES = 10  # fewer are a word repeated
_MAX_ACCESS_SECONDS = 3600
_MIN_AUDIT_DAYS = 30
_MIN_TOKEN_CHARACTERS = 16
_MIN_PREFIX_BITS = {4: 8, 6: 16}  # wider networks are never our own proxies
log = get_logger("production_check")


class Severity(Enum):
    """Weight of a finding: REFUSED is unsafe, WARNING is worth a look."""

    REFUSED = "refused"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """A setting that is unfit for production; `is_hard` ones stop the start."""

    severity: Severity
    setting: str
    problem: str
    remedy: str
    is_hard: bool = False

    def __str__(self) -> str:
        return f"{self.setting} {self.problem}: {self.remedy}."


SettingsRule = Callable[[Settings], Iterator[Finding]]


def list_findings(settings: Settings) -> list[Finding]:
    """List the findings of these settings, the refused ones first; in development few count."""
    rules = _RULES if settings.is_production else (_check_secret_length,)
    results = [finding for rule in rules for finding in rule(settings)]
    return sorted(results, key=lambda finding: finding.severity is not Severity.REFUSED)


def reject_unsafe_settings(settings: Settings) -> None:
    """Refuse to start with unsafe settings; findings that are not hard are logged.

    Raises:
        StartupError: names the setting at fault: a default secret, or an API that is open to other
            sites' scripts.
    """
    results = list_findings(settings)
    hard = next((finding for finding in results if finding.is_hard), None)
    if hard is not None:
        raise StartupError(str(hard))
    for finding in results:
        if finding.severity is Severity.REFUSED:
            log.warning("unsafe_setting", setting=finding.setting, what=finding.problem)


def _reject(setting: str, problem: str, remedy: str, *, is_hard: bool = False) -> Finding:
    return Finding(Severity.REFUSED, setting, problem, remedy, is_hard)


def _warn(setting: str, problem: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, setting, problem, remedy)


def _check_secret_length(settings: Settings) -> Iterator[Finding]:
    if len(settings.secret_bytes) < _MIN_SECRET_BYTES:
        remedy = "set a longer random one"
        yield _reject("JWT_SECRET", "is shorter than 32 bytes", remedy, is_hard=True)


def _check_secrets(settings: Settings) -> Iterator[Finding]:
    yield from _check_secret_length(settings)
    secret = settings.jwt_secret.get_secret_value()
    if secret in _PUBLISHED_SECRETS:
        remedy = "set a random one of your own"
        yield _reject("JWT_SECRET", "is a published default", remedy, is_hard=True)
    elif len(set(secret)) < _MIN_DIFFERENT_BYTES:
        yield _reject("JWT_SECRET", "repeats itself", "set a random one of your own")
    if not settings.jwt_private_keys.get_secret_value().strip():
        remedy = "make one with `python -m server keys new`"
        yield _reject("JWT_PRIVATE_KEYS", "is not set", remedy, is_hard=True)
    if settings.access_token_seconds > _MAX_ACCESS_SECONDS:
        problem = "lets an access token live for more than an hour"
        yield _warn("ACCESS_TOKEN_SECONDS", problem, "set 900")


def _check_openness(settings: Settings) -> Iterator[Finding]:
    if settings.introspection_allowed:
        problem = "shows the schema, and suggestions of its names, to everybody"
        yield _reject(
            "GRAPHQL_INTROSPECTION", problem, "leave it empty, and hand out schema.graphql"
        )
    origins = _split_list(settings.cors_origin)
    if any("*" in origin for origin in origins) or "null" in origins:
        problem = "opens the API to scripts of every site"
        yield _reject("CORS_ORIGIN", problem, "name the web client's origins", is_hard=True)
    elif any(not _is_https(origin) for origin in origins):
        problem = "names an origin that is not https, which others can pose as"
        yield _warn("CORS_ORIGIN", problem, "name https origins only")
    hosts = _split_list(settings.trusted_hosts)
    if not hosts or "*" in hosts:
        remedy = "name the hosts that clients reach the API at"
        yield _reject("TRUSTED_HOSTS", "serves every Host header", remedy)


def _check_proxies(settings: Settings) -> Iterator[Finding]:
    remedy = "name the addresses of the proxies in front, or none where there is none"
    if not _split_list(settings.trusted_proxies):
        problem = "is empty, so all clients behind a proxy count as one"
        yield _reject("TRUSTED_PROXIES", problem, remedy)
        return
    try:
        trusted = parse_networks(settings.trusted_proxies, "TRUSTED_PROXIES")
    except StartupError:
        yield _reject("TRUSTED_PROXIES", "names something that is no address", remedy)
        return
    if any(one.prefixlen < _MIN_PREFIX_BITS[one.version] for one in trusted):
        problem = "believes every sender what it says of its address"
        yield _reject("TRUSTED_PROXIES", problem, remedy)


def _check_addresses(settings: Settings) -> Iterator[Finding]:
    if not settings.public_url:
        remedy = "set the https address clients reach the API at"
        yield _reject("PUBLIC_URL", "is not set, so the API does not know its own address", remedy)
    elif not _is_https(settings.public_url):
        problem = "is not https, so tokens can be read on the way"
        yield _reject("PUBLIC_URL", problem, "set an https address")
    if not settings.public_web_url:
        problem = "is empty, so mails hold codes instead of links"
        yield _warn("PUBLIC_WEB_URL", problem, "set the web client's address")
    elif not _is_https(settings.public_web_url):
        yield _reject("PUBLIC_WEB_URL", "is not https", "set an https address")


def _check_mail(settings: Settings) -> Iterator[Finding]:
    if not settings.smtp_host:
        problem = "is not set: no mail is sent"
        remedy = "set the mail server"
        if settings.needs_verified_email:
            problem += ", and nobody can prove an address"
            remedy += ", or EMAIL_VERIFICATION_REQUIRED=false"
            yield _reject("SMTP_HOST", problem, remedy)
        else:
            yield _warn("SMTP_HOST", problem, remedy)
    elif settings.smtp_security == "none":
        problem = "sends mails, and codes in them, in the clear"
        yield _reject("SMTP_SECURITY", problem, "set starttls or tls")
    if settings.smtp_host and "localhost" in settings.mail_from:
        yield _warn("MAIL_FROM", "is an example", "set a sender your mail server may send as")
    if settings.email_verification_required is False:
        problem = "lets accounts be made for addresses of others"
        yield _warn("EMAIL_VERIFICATION_REQUIRED", problem, "leave it empty")


def _check_second_factor(settings: Settings) -> Iterator[Finding]:
    if not settings.second_factor_required:
        problem = "is off: a password alone opens the accounts that run the service"
        yield _reject("SECOND_FACTOR_REQUIRED", problem, "set true")


def _check_contact(settings: Settings) -> Iterator[Finding]:
    if not settings.security_contacts:
        problem = "is empty, so nobody knows whom to tell of a vulnerability"
        yield _warn("SECURITY_CONTACT", problem, "set an address that is read")


def _check_stores(settings: Settings) -> Iterator[Finding]:
    if not settings.mongodb_uri:
        yield _reject("MONGODB_URI", "is not set", "name a MongoDB replica set")
    elif "@" not in settings.mongodb_uri:
        problem = "has no user: whoever reaches MongoDB may do everything"
        yield _warn("MONGODB_URI", problem, "make a user for the API, see docs/operations.md")
    if settings.mongodb_write_concern in ("0", "1"):
        problem = "loses acknowledged writes when the primary changes"
        yield _reject("MONGODB_WRITE_CONCERN", problem, "set majority")
    addresses = {"REDIS_URL": settings.redis_address()}
    if settings.state_redis_url:
        addresses["STATE_REDIS_URL"] = settings.state_redis_url
    for name, address in addresses.items():
        if not address:
            yield _reject(name, "is not set", "name a Redis")
        elif not urlsplit(address).password:
            problem = "has no password: whoever reaches Redis may do everything"
            yield _warn(name, problem, "set one (ACL or requirepass)")


def _check_metrics(settings: Settings) -> Iterator[Finding]:
    token = settings.metrics_token.get_secret_value()
    if not token and settings.metrics_port is None:
        problem = "is empty, and METRICS_PORT is not set: everybody reads /metrics"
        yield _reject("METRICS_TOKEN", problem, "set one, or a METRICS_PORT that is not public")
    elif token and len(token) < _MIN_TOKEN_CHARACTERS:
        remedy = f"set a random one of {_MIN_TOKEN_CHARACTERS} characters or more"
        yield _reject("METRICS_TOKEN", "can be guessed", remedy)


def _check_watches(settings: Settings) -> Iterator[Finding]:
    for name, mode in (
        ("RATE_LIMIT_MODE", settings.rate_limit_mode),
        ("ABUSE_MODE", settings.abuse_mode),
    ):
        if mode == "off":
            yield _reject(name, "is off", "set enforce")
        elif mode == "log":
            yield _warn(name, "only counts who would be refused", "set enforce")
    if not settings.throttles:
        yield _reject("THROTTLES", "is off: passwords can be tried without end", "set true")
    if 0 < settings.audit_days < _MIN_AUDIT_DAYS:
        problem = "forgets who did what before it may be asked"
        yield _warn("AUDIT_DAYS", problem, f"set {_MIN_AUDIT_DAYS} or more")
    if settings.log_level.lower() == "debug":
        yield _warn("LOG_LEVEL", "is debug, which tells more than is needed", "set info")


_RULES: Sequence[SettingsRule] = (
    _check_secrets,
    _check_openness,
    _check_proxies,
    _check_addresses,
    _check_mail,
    _check_second_factor,
    _check_contact,
    _check_stores,
    _check_watches,
    _check_metrics,
)


def _split_list(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",") if part.strip()]


def _is_https(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "https" and bool(parts.hostname)
