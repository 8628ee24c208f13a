"""`python -m server check`, as operators run it before a release."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from resolvers.context import Runtime
from server.commands import check as check_commands
from services.accounts.token_keys import generate_pem
from services.production_check import Finding, Severity
from services.settings.settings import Environment, Settings
from tests.support.fake_provider import free_port
from tests.support.processes import Process

FIT = {
    "ENVIRONMENT": "production",
    "JWT_SECRET": "q8R2m-one-of-our-own-Zt71xWc94LbvNs03",
    "TRUSTED_HOSTS": "api.marquee.example",
    "TRUSTED_PROXIES": "none",
    "PUBLIC_URL": "https://api.marquee.example",
    "PUBLIC_WEB_URL": "https://marquee.example",
    "SMTP_HOST": "smtp.marquee.example",
    "SECOND_FACTOR_REQUIRED": "true",
    "MAIL_FROM": "no-reply@marquee.example",
    "RATE_LIMIT_MODE": "enforce",
    "THROTTLES": "true",
    "ABUSE_MODE": "enforce",
    "METRICS_PORT": "9464",
}
Check = Callable[..., Process]


@pytest.fixture
def check(runtime: Runtime, settings: Settings, tmp_path: Path) -> Iterator[Check]:
    """Starts the command with settings that are fit, on this worker's stores."""
    with ExitStack() as running:

        def start(*arguments: str, **changed: str) -> Process:
            own = {
                "JWT_PRIVATE_KEYS": generate_pem(),
                "MONGODB_URI": settings.mongodb_uri or "",
                "MONGODB_DATABASE": settings.mongodb_database,
                "REDIS_URL": settings.redis_url or "",
                "REDIS_TIMEOUT_MS": "2000",
            }
            return running.enter_context(
                Process(tmp_path / "run", "check", *arguments, environment=FIT | own | changed)
            )

        yield start


def read_findings(process: Process) -> list[tuple[str, str]]:
    """Level and setting of each finding."""
    lines = [line.split() for line in process.output.splitlines()]
    levels = {level.value for level in Severity}
    return [(line[0], line[1]) for line in lines if line[0] in levels and line[1].isupper()]


async def test_fit_settings_pass_with_warnings_alone(check: Check) -> None:
    process = check("--production")
    assert await process.ended() == 0, process.output
    # databases without a password, as they are here, are for closed networks
    assert set(read_findings(process)) == {
        ("warning", "MONGODB_URI"),
        ("warning", "REDIS_URL"),
        ("warning", "SECURITY_CONTACT"),
        ("warning", "STATE_REDIS_URL"),  # the test's writes nothing to disk
    }
    assert process.output.splitlines()[-1].startswith("0 refused, ")


async def test_a_refusal_says_what_to_do(check: Check) -> None:
    # given a house that is open in several ways
    process = check(
        "--production",
        JWT_SECRET="development-only-secret-change-me-32",
        GRAPHQL_INTROSPECTION="true",
        CORS_ORIGIN="*",
        TRUSTED_PROXIES="",
    )
    # then the command fails, and names each with a remedy
    assert await process.ended() == 1
    refused = [setting for level, setting in read_findings(process) if level == "refused"]
    assert refused == ["JWT_SECRET", "GRAPHQL_INTROSPECTION", "CORS_ORIGIN", "TRUSTED_PROXIES"]
    assert "-> set a random one of your own" in process.output
    assert process.output.splitlines()[-1].startswith("4 refused, ")
    # and shows no value
    assert "development-only" not in process.output


async def test_stores_that_do_not_answer_are_refused_also_in_development(check: Check) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    process = check(
        ENVIRONMENT="development",
        MONGODB_URI=f"mongodb://{nobody}/?directConnection=true",
        MONGODB_TIMEOUT_MS="1000",
        REDIS_URL=f"redis://{nobody}",
    )
    assert await process.ended() == 1
    assert read_findings(process) == [
        ("refused", "MONGODB_URI"),
        ("refused", "REDIS_URL"),
        ("refused", "STATE_REDIS_URL"),
    ]


async def test_development_with_its_defaults_passes(check: Check) -> None:
    process = check(ENVIRONMENT="development", JWT_PRIVATE_KEYS="", MONGODB_URI="", REDIS_URL="")
    assert await process.ended() == 0, process.output
    assert process.output == "0 refused, 0 warnings.\n"


async def test_a_mistyped_name_is_told_and_passes(check: Check, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".env").write_text("GREETING=hello\n")
    process = check("--production", LOG_LEVLE="debug")
    assert await process.ended() == 0, process.output
    assert {("warning", "LOG_LEVLE"), ("warning", "GREETING")} <= set(read_findings(process))
    assert "-> write LOG_LEVEL" in process.output


@pytest.mark.parametrize(
    ("name", "value"), [("REDIS_URL", "nonsense"), ("LOG_LEVEL", "loud"), ("PROVIDERS", "[{}]")]
)
async def test_a_bad_value_is_one_line_of_any_command(
    check: Check, settings: Settings, tmp_path: Path, name: str, value: str
) -> None:
    assert await check(**{name: value}).ended() == 1
    own = {"MONGODB_URI": settings.mongodb_uri or "", "REDIS_URL": settings.redis_url or ""}
    for command in ("serve", "worker"):
        folder = tmp_path / command
        with Process(folder, command, environment={**own, "PORT": "0", name: value}) as process:
            assert await process.ended() == 1
            (line,) = process.output.splitlines()
            assert line.startswith("marquee: ") and name in line


def test_a_key_that_cannot_be_read_is_refused() -> None:
    settings = Settings(
        _env_file=None, environment=Environment.PRODUCTION, jwt_private_keys="/nowhere.pem"
    )
    findings = [
        one.problem for one in check_commands.check_settings(settings) if "KEYS" in one.setting
    ]
    assert findings == ["is not fit"]


def test_a_non_production_environment_is_refused() -> None:
    report = check_commands.check_settings(Settings(_env_file=None))
    assert (report[0].setting, report[0].severity) == ("ENVIRONMENT", Severity.REFUSED)


def test_the_table_has_two_lines_a_finding_the_refused_first() -> None:
    findings = [
        Finding(Severity.WARNING, "LOG_LEVEL", "is debug", "set info"),
        Finding(Severity.REFUSED, "TRUSTED_HOSTS", "serves every host", "name them"),
    ]
    assert check_commands.format_table(findings) == "\n".join(
        [
            "refused  TRUSTED_HOSTS  serves every host",
            "                        -> name them",
            "warning  LOG_LEVEL      is debug",
            "                        -> set info",
            "1 refused, 1 warnings.",
        ]
    )
