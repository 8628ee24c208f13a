"""docs/operations.md and docs/api.md name what really runs, and nothing else."""

from __future__ import annotations

import re

from services.errors import ErrorCode
from services.settings.settings import Settings
from services.telemetry import metrics
from tests.house.house import texts
from workers import WORKERS


def test_every_metric_is_in_the_metrics_table() -> None:
    # given what Prometheus is told, and the table that operators read
    exposed = {
        name
        for name in re.findall(r"^# HELP (\S+)", metrics.render_exposition().decode(), re.MULTILINE)
        if not name.endswith("_created")
    }
    # then both name the same metrics
    assert _first_column("Metrics") == exposed


def test_every_worker_is_in_the_workers_table() -> None:
    assert _first_column("Workers") == set(WORKERS)


def test_every_setting_is_in_a_settings_group() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", _section("Settings")))
    assert named == {name.upper() for name in Settings.model_fields}


def test_every_error_code_is_on_the_api_page() -> None:
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", texts()["docs/api.md"], re.MULTILINE))
    assert rows == {code.value for code in ErrorCode}


def _section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", texts()["docs/operations.md"], re.M | re.S)
    assert found, f"docs/operations.md has no section {title}"
    return found.group(1)


def _first_column(title: str) -> set[str]:
    return set(re.findall(r"^\| `(\w+)`", _section(title), re.MULTILINE))
