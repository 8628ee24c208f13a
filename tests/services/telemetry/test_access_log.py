"""Which request lines are written: by LOG_LEVEL, and a sample of those that did not fail."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from services.settings.settings import Settings
from services.telemetry.access_log import AccessLog
from services.telemetry.logs import get_level


def write_lines(log: AccessLog, stream: io.BytesIO) -> list[dict[str, Any]]:
    for n in range(400):
        log.write({"event": "request", "n": n}, failed=n % 4 == 0)
    log.flush()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", 400), ("info", 400), ("warning", 100), ("error", 100), ("critical", 0)],
)
async def test_request_lines_obey_the_level(level: str, written: int) -> None:
    stream = io.BytesIO()
    settings = Settings(_env_file=None, log_level=level)
    lines = write_lines(AccessLog(stream, level=get_level(settings)), stream)
    assert len(lines) == written
    assert all(line["level"] == ("info" if line["n"] % 4 else "error") for line in lines)
    assert all(line["timestamp"].endswith("Z") for line in lines)


@pytest.mark.parametrize("sample", [0.0, 0.5, 1.0])
async def test_a_sample_holds_every_failed_request(sample: float) -> None:
    stream = io.BytesIO()
    lines = write_lines(AccessLog(stream, sample=sample), stream)
    failed = [line for line in lines if line["level"] == "error"]
    others = len(lines) - len(failed)
    assert len(failed) == 100
    # 300 throws of a coin are within 6 deviations of their mean
    assert abs(others - 300 * sample) <= (52 if 0 < sample < 1 else 0)
