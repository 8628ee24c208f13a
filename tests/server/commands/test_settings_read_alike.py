"""What `check` or `serve` refuses the other refuses; what looks like a setting is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from graph.schema import open_documents
from resolvers.opening import open_runtime
from server.commands import check as check_commands
from server.listeners import open_listeners
from services.accounts.token_keys import generate_pem
from services.errors import StartupError
from services.production_check import reject_unsafe_settings
from services.settings.settings import Settings
from services.settings.unknown_names import find_unknown_names
from services.startup_check import reject_faults

EVERYWHERE = "0.0.0.0"  # noqa: S104 - as operators write it
BAD: list[dict[str, str]] = [
    {"CDN_PROVIDER": "foo"},
    {"CDN_PROVIDER": "aws"},
    {"CDN_PROVIDER": "cloudflare", "CLOUDFLARE_CDN_URL": "https://", "CLOUDFLARE_API_KEY": "key"},
    {"PROVIDERS": "[{}]"},
    {"PROVIDERS": "nonsense"},
    {"PROVIDERS": '[{"key":"a","kind":"json","name":"A","base_url":"ftp://a.example"}]'},
    {"VIDKING_ENABLED": "true"},
    {"VIDKING_BASE_URL": "vidking.example"},
    {"VIDSRC_TEMPLATE": "https://host/embed/{number}"},
    {"SUPER_EMBED_TV_TEMPLATE": "https://host/embed/{tmdb_id}"},
    {"TMDB_BASE_URL": "zzz"},
    {"TMDB_BASE_URL": "https://"},
    {"REDIS_URL": "nonsense"},
    {"REDIS_URL": "http://127.0.0.1:6379"},
    {"STATE_REDIS_URL": "redis://:pass/word@host:6379/0"},
    {"MONGODB_URI": "nonsense", "REDIS_URL": "redis://127.0.0.1:9"},
    {"MONGODB_URI": "postgres://127.0.0.1", "REDIS_URL": "redis://127.0.0.1:9"},
    {"MONGODB_DATABASE": "films.all"},
    {"MONGODB_WRITE_CONCERN": "foo"},
    {"MONGODB_WRITE_CONCERN": "-1"},
    {"MONGODB_MIN_POOL_SIZE": "200"},
    {"CACHE_TIERS": "foo"},
    {"CACHE_TIERS": "memory,disk"},
    {"LOG_LEVEL": "loud"},
    {"TRUSTED_PROXIES": "everybody"},
    {"ABUSE_EXEMPT": "the office"},
    {"TRUSTED_HOSTS": "api.*.example"},
    {"HOST": "no such host"},
    {"HOST": EVERYWHERE},
    {"PORT": "70000"},
    {"METRICS_PORT": "5000"},
    {"WORKER_METRICS_PORT": "0"},
    {"JWT_SECRET": "short"},
    {"JWT_PRIVATE_KEYS": "/nowhere/key.pem"},
    {"PUBLISHED_DOCUMENTS": "/nowhere/documents.json"},
    {"PUBLIC_URL": "films"},
    {"PUBLIC_WEB_URL": "//films.example"},
    {"MAIL_FROM": "nobody"},
    {"BREACHED_PASSWORDS_URL": "passwords"},
    {"SECURITY_CONTACT": "me"},
    {"ENVIRONMENT": "staging"},
]
GOOD: list[dict[str, str]] = [
    {},
    {"CACHE_TIERS": "none"},
    {"CACHE_TIERS": "redis, answers"},
    {"LOG_LEVEL": "WARNING"},
    {"MONGODB_WRITE_CONCERN": "2"},
    {"TRUSTED_HOSTS": "*.films.example,films.example"},
    {"TRUSTED_PROXIES": "none"},
    {"VIDSRC_TEMPLATE": "https://host/embed/{tmdb_id}?t={start}"},
    {"METRICS_PORT": "", "EMAIL_VERIFICATION_REQUIRED": "", "PUBLIC_URL": ""},
    {"PUBLIC_URL": "http://127.0.0.1:5000/"},
    {"JWT_PRIVATE_KEYS": generate_pem()},
    {"HOST": EVERYWHERE, "ALLOW_OPEN_DEVELOPMENT": "true"},
]


def read_settings(changes: dict[str, str]) -> Settings:
    """As from the environment."""
    changed: dict[str, Any] = {name.lower(): text for name, text in changes.items()}
    return Settings(_env_file=None, **changed)


async def start_serving(settings: Settings) -> None:
    """Open what `serve` opens, on a port that is free, until a store is needed."""
    listeners = open_listeners(settings.model_copy(update={"port": 0, "metrics_port": None}))
    listeners.public.close()
    open_documents(settings)
    reject_faults(settings)
    reject_unsafe_settings(settings)
    async with open_runtime(settings):
        pytest.fail("it opened stores that it does not have")


@pytest.mark.parametrize("changes", BAD, ids=str)
async def test_what_cannot_be_read_is_refused_by_both(
    changes: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        settings = read_settings(changes)
    except ValidationError as error:  # both read them by one function: it names the setting
        assert error.errors()[0]["loc"][0] in {name.lower() for name in changes}
        return
    with pytest.raises(StartupError) as refusal:
        await start_serving(settings)
    assert "is not set: name a" not in str(refusal.value)  # the stores come last
    first_name = next(iter(changes))
    assert first_name in str(refusal.value)
    assert not await check_commands.check(settings, production=False)
    assert first_name in capsys.readouterr().out


@pytest.mark.parametrize("changes", GOOD, ids=lambda changes: " ".join(changes))
async def test_what_can_be_read_is_taken_by_both(changes: dict[str, str]) -> None:
    settings = read_settings(changes)
    with pytest.raises(StartupError, match="is not set: name a"):
        await start_serving(settings)
    assert await check_commands.check(settings, production=False)


@pytest.mark.parametrize("changes", BAD, ids=str)
def test_production_looks_at_the_same_values(changes: dict[str, str]) -> None:
    try:
        settings = read_settings(changes)
    except ValidationError:
        return
    if changes == {"HOST": EVERYWHERE} or "MONGODB_URI" in changes:
        return  # the one is right in production, the other is for MongoDB's driver to read
    findings = check_commands.check_settings(settings)
    refused = [f"{one.setting} {one.remedy}" for one in findings if one.is_hard]
    assert any(next(iter(changes)) in text for text in refused)


# ---- names


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("LOG_LEVLE", "LOG_LEVEL"),
        ("log_levels", "LOG_LEVEL"),
        ("MONGO_URI", "MONGODB_URI"),
        ("REDIS_URI", "REDIS_URL"),
        ("JWT_SECRET_KEY", "JWT_SECRET"),
        ("CORS_ORIGINS", "CORS_ORIGIN"),
        ("DATADIR", "DATA_DIR"),
        ("SMTP_USER", "SMTP_USERNAME"),
        ("RATE_LIMIT_MAX_REQUEST", "RATE_LIMIT_MAX_REQUESTS"),
        ("BREAKER_PATIENCE", None),
    ],
)
def test_a_name_that_looks_like_a_setting_is_told_with_the_nearest(
    tmp_path: Path, name: str, nearest: str | None
) -> None:
    (unknown,) = find_unknown_names({name: "x"}, tmp_path / ".env")
    assert (unknown.name, unknown.nearest) == (name.upper(), nearest)
    assert unknown.remedy == (f"write {nearest}" if nearest else "remove it")


def test_names_of_others_are_not_told(tmp_path: Path) -> None:
    others = (
        "PATH HOME LANG TERM SHELL USER MAIL PWD HOSTNAME LOGNAME TMPDIR XDG_DATA_DIRS EDITOR "
        "AWS_PROFILE AWS_SESSION_TOKEN HTTP_PROXY SSH_CONNECTION PYTHONPATH VIRTUAL_ENV CI "
        "REDIS_PORT_6379_TCP_ADDR REDIS_SERVICE_HOST MONGODB_SERVICE_PORT KUBERNETES_PORT"
    )
    assert find_unknown_names(dict.fromkeys(others.split(), "x"), tmp_path / ".env") == []


def test_in_the_file_of_settings_every_unknown_name_is_told(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("LOG_LEVEL=info\nCOLOUR=blue\nMONGODB_URL=x\n")
    told = [(one.name, one.nearest) for one in find_unknown_names({}, file)]
    assert told == [("COLOUR", None), ("MONGODB_URL", "MONGODB_URI")]
