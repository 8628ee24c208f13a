"""What searches the logs of a run for secrets finds them, and fails the run. See log_watch.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from services.accounts.passwords import Passwords
from services.accounts.secret_codes import ApiKeyText, generate_code
from services.accounts.token_keys import generate_pem, open_keys
from services.accounts.tokens import AccessTokens
from services.settings.settings import Settings
from tests.house.house import ROOT
from tests.support import log_watch
from tests.support.log_watch import leaks


def kinds(text: str) -> list[str]:
    return [leak.what for leak in leaks("x.log", text.encode())]


async def test_each_kind_of_secret_is_found_as_it_is_made() -> None:
    # given one of each, as the product makes it
    tokens = AccessTokens(open_keys(Settings(_env_file=None)), lifetime_seconds=900)
    token = tokens.issue(user_id="user_1", role="USER", tier="FREE", login_id="l", now=2e9)
    passwords = Passwords(memory_kib=64, passes=1)
    hashed = await passwords.hash("correct horse battery")
    passwords.close()
    # then it is found in a line of any form
    assert "access token" in kinds(f'event=request authorization="Bearer {token}"')
    assert kinds(f'{{"key":"{ApiKeyText.new().text}"}}') == ["API key"]
    assert "hash of a password" in kinds(f"row={hashed}")
    assert kinds(f"pem={generate_pem()!r}") == ["private key"] * 2
    assert kinds("uri=mongodb://api:letters@db:27017") == ["login in an address"]
    assert kinds("uri=redis://:letters@cache:6379/0") == ["login in an address"]
    assert kinds("variables={'password': 'correct horse battery'}") == ["word"]


def test_codes_and_refresh_tokens_are_found() -> None:
    codes = [generate_code() for _ in range(200)]
    found = [code for code in codes if "code" in kinds(f'event=mail link="/reset?c={code}" n=1')]
    assert len(found) >= 195  # a few have no digit, which no code of names would have either


def test_what_is_no_secret_is_not_taken_for_one() -> None:
    for line in (
        "event=request request_id=5f0c1f3a0e3b9c77 route=/graphql ms=1.25 address=127.0.0.1",
        "event=signed_in user=user_51db7af36dc43709b5c8 login=login_0d7af36dc43709b5c8aa",
        "database=marquee_test_gw0 uri=mongodb://127.0.0.1:27017/?directConnection=true",
        'etag=W/"9a0364b9e99bb480dd25e1f0284c8555a1b2c3d4e5f60718293a4b5c6d7e8f90"',
        "tests/house/test_logs_hold_no_secrets.py::test_what_is_no_secret_is_not_taken_for_one",
        "sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ):
        assert kinds(line) == [], line


def test_a_finding_does_not_show_the_secret() -> None:
    [leak] = leaks("gw0.log", b"event=x key=marquee_0123abcd_" + b"Ab1" * 14 + b"C")
    assert str(leak) == "gw0.log: API key in 'event=x key=<marq...>'"


def test_what_the_product_logs_here_is_kept() -> None:
    # when something is logged
    structlog.get_logger(room="test").warning("kept_for_the_search", number=7)
    # then it is where the search looks at the end
    kept = Path(log_watch.stream().name).read_text()
    assert "kept_for_the_search" in kept


LEAKY = """
import logging
import structlog
from tests.support import log_watch

def test_it():
    structlog.configure(processors=[log_watch.render_line])
    {statement}
"""


@pytest.mark.parametrize(
    "statement,status",
    [
        ("structlog.get_logger().info('x', code='marquee_0123abcd_' + 'Ab1' * 14 + 'C')", 1),
        ("logging.getLogger('lib').error('failed for %s', 'correct horse ' + 'battery')", 1),
        ("structlog.get_logger().info('x', user='user_1')", 0),
    ],
)
def test_a_secret_fails_a_run_whose_tests_all_pass(
    tmp_path: Path, statement: str, status: int
) -> None:
    # given a test that passes, and what it logs
    (tmp_path / "test_leaky.py").write_text(LEAKY.format(statement=statement))
    # when it is run
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q"),
            *("-p", "tests.support.log_watch", "-p", "no:cacheprovider"),
            *("-c", "/dev/null", "--rootdir", str(tmp_path), str(tmp_path / "test_leaky.py")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    # then the run fails where a secret was logged, and says so
    assert done.returncode == status, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert ("SECRETS IN LOGS" in done.stdout) is bool(status)
