"""How many processes are meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.processes.count import count_cores, count_processes, parse_processes
from services.settings.settings import Settings


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("256", 256), ("0", 0), ("auto", 0), (" AUTO ", 0)]
)
def test_a_number_or_auto_is_read(text: str, number: int) -> None:
    assert parse_processes(text) == number
    assert Settings(_env_file=None, processes=text).processes == number  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "-1", "257", "two", "1.5", "²", "1e2", "0x2"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither `auto` nor a number"):
        parse_processes(text)


def test_none_is_set_by_default() -> None:
    assert Settings(_env_file=None).processes is None


def test_zero_is_one_for_each_core() -> None:
    assert count_processes(0) == min(count_cores(), 256)
    assert count_processes(3) == 3


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("100000 100000", 1), ("50000 100000", 1), ("101000 100000", 2), ("max 100000", None)],
)
def test_a_container_s_quota_counts(tmp_path: Path, quota: str, cores: int | None) -> None:
    file = tmp_path / "cpu.max"
    all_cores = count_cores(file)
    file.write_text(f"{quota}\n")
    assert count_cores(file) == (all_cores if cores is None else min(all_cores, cores))
