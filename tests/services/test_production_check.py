"""What settings are refused in production: each alone, against settings that are fit."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from services.errors import StartupError
from services.production_check import Severity, list_findings, reject_unsafe_settings
from services.settings.settings import Environment, Settings

FIT: dict[str, Any] = {
    "environment": Environment.PRODUCTION,
    "jwt_secret": SecretStr("q8R2m-one-of-our-own-Zt71xWc94LbvNs03"),
    "jwt_private_keys": SecretStr("/run/secrets/jwt.pem"),
    "cors_origin": "https://marquee.example, https://tv.marquee.example",
    "trusted_hosts": "api.marquee.example",
    "trusted_proxies": "10.0.3.0/24, fd00:12::/32",
    "public_url": "https://api.marquee.example",
    "public_web_url": "https://marquee.example",
    "smtp_host": "smtp.marquee.example",
    "mail_from": "Marquee <no-reply@marquee.example>",
    "mongodb_uri": "mongodb://api:key-of-the-store@db-1,db-2/?replicaSet=rs0",
    "redis_url": "rediss://:key-of-the-cache@redis:6379/0",
    "state_redis_url": "rediss://:key-of-the-state@state:6379/0",
    "metrics_token": SecretStr("a-token-of-prometheus-alone"),
    "second_factor_required": True,
    "security_contact": "mailto:security@marquee.example",
}


def with_(**changed: Any) -> Settings:
    return Settings(_env_file=None).model_copy(update={**FIT, **changed})


def test_fit_settings_have_no_finding_and_start() -> None:
    assert list_findings(with_()) == []
    reject_unsafe_settings(with_())


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("JWT_SECRET", {"jwt_secret": SecretStr("development-only-secret-change-me-32")}),
    ("JWT_SECRET", {"jwt_secret": SecretStr("super_secure_jwt_secret_change_in_production")}),
    ("JWT_SECRET", {"jwt_secret": SecretStr("short")}),
    ("JWT_SECRET", {"jwt_secret": SecretStr("")}),
    ("JWT_SECRET", {"jwt_secret": SecretStr("changeme" * 5)}),
    ("JWT_PRIVATE_KEYS", {"jwt_private_keys": SecretStr(" ")}),
    ("GRAPHQL_INTROSPECTION", {"graphql_introspection": True}),
    ("CORS_ORIGIN", {"cors_origin": "*"}),
    ("CORS_ORIGIN", {"cors_origin": "https://marquee.example, null"}),
    ("CORS_ORIGIN", {"cors_origin": "https://*.marquee.example"}),
    ("TRUSTED_HOSTS", {"trusted_hosts": "*"}),
    ("TRUSTED_HOSTS", {"trusted_hosts": "api.marquee.example,*"}),
    ("TRUSTED_HOSTS", {"trusted_hosts": " , "}),
    ("TRUSTED_PROXIES", {"trusted_proxies": ""}),
    ("TRUSTED_PROXIES", {"trusted_proxies": "*"}),
    ("TRUSTED_PROXIES", {"trusted_proxies": "0.0.0.0/0"}),
    ("TRUSTED_PROXIES", {"trusted_proxies": "10.0.0.1, ::/0"}),
    ("TRUSTED_PROXIES", {"trusted_proxies": "the-balancer"}),
    ("PUBLIC_URL", {"public_url": None}),
    ("PUBLIC_URL", {"public_url": "http://api.marquee.example"}),
    ("PUBLIC_WEB_URL", {"public_web_url": "http://marquee.example"}),
    ("SMTP_HOST", {"smtp_host": ""}),
    ("SECOND_FACTOR_REQUIRED", {"second_factor_required": False}),
    ("SMTP_SECURITY", {"smtp_security": "none"}),
    ("MONGODB_URI", {"mongodb_uri": None}),
    ("MONGODB_WRITE_CONCERN", {"mongodb_write_concern": "1"}),
    ("REDIS_URL", {"redis_url": None}),
    ("RATE_LIMIT_MODE", {"rate_limit_mode": "off"}),
    ("ABUSE_MODE", {"abuse_mode": "off"}),
    ("THROTTLES", {"throttles": False}),
    ("METRICS_TOKEN", {"metrics_token": SecretStr("")}),
    ("METRICS_TOKEN", {"metrics_token": SecretStr("short")}),
    ("METRICS_TOKEN", {"metrics_token": SecretStr("short"), "metrics_port": 9100}),
]
WARNED: list[tuple[str, dict[str, Any]]] = [
    ("ACCESS_TOKEN_SECONDS", {"access_token_seconds": 86400}),
    ("CORS_ORIGIN", {"cors_origin": "http://marquee.example"}),
    ("PUBLIC_WEB_URL", {"public_web_url": ""}),
    ("SMTP_HOST", {"smtp_host": "", "email_verification_required": False}),
    ("SECURITY_CONTACT", {"security_contact": " , "}),
    ("MAIL_FROM", {"mail_from": "Marquee <no-reply@localhost>"}),
    ("EMAIL_VERIFICATION_REQUIRED", {"email_verification_required": False}),
    ("MONGODB_URI", {"mongodb_uri": "mongodb://db-1,db-2/?replicaSet=rs0"}),
    ("REDIS_URL", {"redis_url": "redis://redis:6379/0"}),
    ("STATE_REDIS_URL", {"state_redis_url": "redis://state:6379/0"}),
    ("RATE_LIMIT_MODE", {"rate_limit_mode": "log"}),
    ("ABUSE_MODE", {"abuse_mode": "log"}),
    ("AUDIT_DAYS", {"audit_days": 7}),
    ("LOG_LEVEL", {"log_level": "DEBUG"}),
]


@pytest.mark.parametrize("name,changed", REFUSED)
def test_it_is_refused(name: str, changed: dict[str, Any]) -> None:
    findings = [
        each for each in list_findings(with_(**changed)) if each.severity is Severity.REFUSED
    ]
    assert [each.setting for each in findings] == [name] * len(findings)
    assert findings


@pytest.mark.parametrize("name,changed", WARNED)
def test_it_is_warned_of_and_not_refused(name: str, changed: dict[str, Any]) -> None:
    findings = list_findings(with_(**changed))
    assert (name, Severity.WARNING) in [(each.setting, each.severity) for each in findings]
    assert [each for each in findings if each.severity is Severity.REFUSED] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"trusted_proxies": "none"},
        {"metrics_token": SecretStr(""), "metrics_port": 9100},
        {"trusted_proxies": "2001:db8::7"},
        {"cors_origin": ""},
        {"graphql_introspection": False},
        {"audit_days": 0},
    ],
)
def test_it_is_fit(changed: dict[str, Any]) -> None:
    assert list_findings(with_(**changed)) == []


@pytest.mark.parametrize(
    "changed,message",
    [
        (
            {"jwt_secret": SecretStr("development-only-secret-change-me-32")},
            "JWT_SECRET is a published default: set a random one of your own.",
        ),
        (
            {"jwt_secret": SecretStr("short")},
            "JWT_SECRET is shorter than 32 bytes: set a longer random one.",
        ),
        (
            {"jwt_private_keys": SecretStr("")},
            "JWT_PRIVATE_KEYS is not set: make one with `python -m server keys new`.",
        ),
        (
            {"cors_origin": "*"},
            "CORS_ORIGIN opens the API to scripts of every site: name the web client's origins.",
        ),
    ],
)
def test_production_does_not_start_with_it(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(StartupError) as refused:
        reject_unsafe_settings(with_(**changed))
    assert str(refused.value) == message


def test_what_is_refused_but_not_hard_does_not_keep_production_from_starting() -> None:
    reject_unsafe_settings(with_(trusted_hosts="*", trusted_proxies="", smtp_host=""))


def test_development_starts_with_defaults_but_no_short_secret() -> None:
    reject_unsafe_settings(Settings(_env_file=None))
    with pytest.raises(StartupError, match="shorter than 32 bytes"):
        reject_unsafe_settings(Settings(_env_file=None, jwt_secret=SecretStr("short")))


def test_no_finding_shows_a_value() -> None:
    # given settings that are all at fault, with secrets in them
    secret, password = "hunter2-hunter2", "swordfish"
    unfit = with_(
        jwt_secret=SecretStr(secret),
        mongodb_uri=None,
        redis_url=f"redis://:{password}@cache:6379",
        state_redis_url="redis://state",
        smtp_password=SecretStr(password),
        smtp_security="none",
        trusted_proxies="",
    )
    # then no text has one of the values
    text = " ".join(f"{each} {each.problem} {each.remedy}" for each in list_findings(unfit))
    assert secret not in text
    assert password not in text


def test_the_refused_come_first() -> None:
    levels = [
        each.severity for each in list_findings(with_(audit_days=1, trusted_hosts="*", throttles=0))
    ]
    assert levels == [Severity.REFUSED, Severity.REFUSED, Severity.WARNING]
