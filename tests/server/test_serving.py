"""What a process prepares before it serves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.processes import ROOT

SCRIPT = """
import resource
from server import serving
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
total = serving.raise_descriptor_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), total)
"""


@pytest.mark.parametrize(("soft", "hard"), [(256, 4096), (1024, 1024), (64, 600)])
def test_open_files_are_raised_to_the_hard_limit_and_some_stay_free(soft: int, hard: int) -> None:
    script = SCRIPT.format(soft=soft, hard=hard)
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True
    )
    raised, kept, total = map(int, ended.stdout.split())
    assert (raised, kept) == (hard, hard)
    assert total == max(hard // 2, hard - 400)
