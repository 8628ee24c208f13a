"""Whoever logs does not wait for the log's reader: while that one stalls, lines are counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from services.telemetry import metrics
from services.telemetry.log_queue import LogQueue
from tests.support.processes import ROOT

LINE = b'{"event": "request", "filler": "' + b"x" * 500 + b'"}\n'
_PATIENCE_SECONDS = 20.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def count_dropped() -> float:
    return metrics.REGISTRY.get_sample_value("log_lines_dropped_total") or 0.0


def test_a_reader_that_stalls_delays_nobody_and_lines_beyond_the_bound_are_counted(
    pipe: tuple[int, int],
) -> None:
    # given a log whose reader reads nothing
    reading, writing = pipe
    queue = LogQueue(writing, max_bytes=200 * len(LINE))
    before = count_dropped()

    # when far more is logged than the pipe and the queue take
    finished = threading.Event()

    def write_lines() -> None:
        for _ in range(5000):
            queue.write(LINE)
        finished.set()

    threading.Thread(target=write_lines, daemon=True).start()

    # then that ends, and what did not fit was dropped
    assert finished.wait(_PATIENCE_SECONDS)
    assert count_dropped() - before >= 4000

    # and when it is read again, the log goes on with whole lines and says how many are missing
    os.set_blocking(reading, False)
    text, give_up_at = b"", time.monotonic() + _PATIENCE_SECONDS
    while not text.endswith(b"\n") or _count_missing(text) < count_dropped() - before:
        assert time.monotonic() < give_up_at
        try:
            text += os.read(reading, 65536)
        except BlockingIOError:
            queue.write(LINE)
            time.sleep(0.01)


def _count_missing(text: bytes) -> int:
    lines = [json.loads(line) for line in text.splitlines()]
    return sum(line["lines"] for line in lines if line["event"] == "log_lines_dropped")


def test_a_reader_that_is_gone_delays_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    queue = LogQueue(writing)
    before = count_dropped()
    queue.write(LINE * 3)
    queue.drain(_PATIENCE_SECONDS)
    assert count_dropped() - before == 3
    os.close(writing)


def test_lines_keep_their_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    queue = LogQueue(writing)
    lines = [b'{"n": %d}\n' % n for n in range(1000)]
    for line in lines:
        queue.write(line)
    queue.drain(_PATIENCE_SECONDS)
    assert os.read(reading, 65536) == b"".join(lines)


SCRIPT = """
from services.settings.settings import Settings
from services.telemetry import logs
logs.configure(Settings(_env_file=None, environment="{environment}"))
log = logs.get_logger("test")
for n in range({lines}):
    log.warning("line_written", n=n, filler="x" * 200)
"""


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_process_s_last_lines_are_written_when_it_ends(environment: str) -> None:
    script = SCRIPT.format(environment=environment, lines=50)
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True
    )
    assert ended.stderr.count(b"line_written") == 50


def test_a_process_whose_log_nobody_reads_ends_all_the_same() -> None:
    # given a process that logs far more than a pipe takes
    script = SCRIPT.format(environment="production", lines=20_000)
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE
    ) as process:
        # then it ends though nobody reads
        assert process.wait(_PATIENCE_SECONDS) == 0


PROCESS = """
import sys
from services.telemetry import log_queue
log_queue.set_process(int(sys.argv[1]))
queue = log_queue.standard_error()
for number in range(60):
    line = log_queue.build_line({"event": "x" * (number % 7) * 30}, "info")
    queue.write(line * 100)
queue.drain(20)
"""


def test_lines_of_several_processes_do_not_run_into_each_other() -> None:
    # given two processes that write much to one pipe
    reading, writing = os.pipe()
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, number], cwd=ROOT, stderr=writing)
        for number in ("1", "2")
    ]
    os.close(writing)
    with open(reading, "rb", buffering=0) as log:
        time.sleep(1)  # the pipe is full, and both wait for room
        lines = b"".join(iter(lambda: log.read(2048), b"")).splitlines()
    assert [process.wait(20) for process in processes] == [0, 0]
    # then each line is whole, and says whose it is
    assert Counter(json.loads(line)["process"] for line in lines) == {1: 6000, 2: 6000}
