"""A pytest plugin: all that is logged during the run is kept, and at its end searched for secrets.

Logs of this process and of xdist's workers go to one folder, and so does what the processes of
tests/support/processes.py say. One secret in them fails the run, whatever the tests say.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import structlog

# What no log may hold, by its shape; "code" is also how refresh tokens look.
_SHAPES = {
    "access token": rb"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}",
    "API key": rb"marquee_[0-9a-f]{8}_[\w-]{43}",
    "code": rb"(?<![\w+-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{43}(?![\w/+=-])",
    "hash of a password": rb"\$argon2i?d?\$",
    "private key": rb"PRIVATE KEY-----",
    "login in an address": rb"\w+://[^\s/:@\"']*:[^\s/@\"']+@",
}
# What the tests sign in with, sign with and show to services outside.
_WORDS = (
    "correct horse battery",
    "wrong horse battery",
    "zebra lamp cactus",
    "velvet cactus lamp",
    "long password",
    "another velvet cactus",
    "adas velvet cactus lamp",
    "bobs velvet cactus lamp",
    "development-only-secret-change-me-32",
    "a secret of the test suite, 32 bytes and more",
    "wJalrXUtnFEMI/K7MDENG",
    "s3cret",
    "hunter2",
)
_DEMO_PASSWORD = "marquee-demo-password"  # `dev` prints it, no log does
_SHOWN = 20
_LETTERS_BESIDE = 60

_stream: BinaryIO | None = None


@dataclass(frozen=True, slots=True)
class Leak:
    where: str
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} in {self.text}"


def leaks(where: str, text: bytes, *, more_words: Iterable[str] = ()) -> Iterator[Leak]:
    """Every secret in a text, with what stands around it; the secret itself is not shown."""
    words = rb"|".join(re.escape(word).encode() for word in (*_WORDS, *more_words))
    for what, pattern in {**_SHAPES, "word": words}.items():
        for match in re.finditer(pattern, text):
            before = text[max(0, match.start() - _LETTERS_BESIDE) : match.start()]
            after = text[match.end() : match.end() + _LETTERS_BESIDE]
            shown = (before + b"<" + match.group()[:4] + b"...>" + after).decode(errors="replace")
            yield Leak(where, what, repr(shown))


def render_line(logger: Any, method: str, event: Any) -> str:
    """The last of structlog's processors: the line as text, a copy of which is kept."""
    line = str(structlog.processors.LogfmtRenderer()(logger, method, event))
    stream().write(f"{line}\n".encode(errors="replace"))
    return line


def stream() -> BinaryIO:
    """Where this process's logs are kept."""
    assert _stream is not None, "the plugin is not configured"
    return _stream


def watch_output(output_file: Path) -> None:
    """What a process writes to this file is searched, too, even when its folder is gone by then."""
    folder = Path(stream().name).parent
    os.link(output_file, folder / f"{secrets.token_hex(8)}-{output_file.parent.name}.output")


class _FileHandler(logging.Handler):
    """What libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        stream().write(f"{self.format(record)}\n".encode(errors="replace"))


def pytest_configure(config: pytest.Config) -> None:
    global _stream
    worker_input = getattr(config, "workerinput", None)
    folder = worker_input["logs"] if worker_input else tempfile.mkdtemp(prefix="marquee-logs-")
    name = worker_input["workerid"] if worker_input else "main"
    config.marquee_logs = Path(folder)  # type: ignore[attr-defined]
    _stream = open(Path(folder) / f"{name}.log", "ab", buffering=0)  # noqa: SIM115 - till the end
    logging.getLogger().addHandler(_FileHandler(logging.WARNING))


def pytest_configure_node(node: Any) -> None:
    node.workerinput["logs"] = str(node.config.marquee_logs)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """After the workers have ended."""
    config: Any = session.config
    if hasattr(config, "workerinput"):
        return
    log_leaks = [leak for file in _log_files(config) for leak in _in_file(file)]
    config.marquee_leaks = log_leaks
    if log_leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    log_leaks: list[Leak] = getattr(config, "marquee_leaks", [])
    if log_leaks:
        terminalreporter.section("SECRETS IN LOGS", red=True)
        for leak in log_leaks[:_SHOWN]:
            terminalreporter.line(str(leak), red=True)
        terminalreporter.line(
            f"{len(log_leaks)} secrets were logged: the run has failed.", red=True
        )


def pytest_unconfigure(config: Any) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(config.marquee_logs, ignore_errors=True)


def _log_files(config: Any) -> list[Path]:
    return sorted(config.marquee_logs.iterdir())


def _in_file(file: Path) -> Iterator[Leak]:
    more = [_DEMO_PASSWORD] if file.suffix == ".log" else []
    return leaks(file.name, file.read_bytes(), more_words=more)
