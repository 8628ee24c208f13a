"""docs/operations.md and docs/api.md name what really runs, and nothing else."""

from __future__ import annotations

import importlib
import re

import pytest

import models
from services.errors import ErrorCode
from services.redis import cache_keys
from services.settings.settings import Settings
from services.telemetry import metrics
from tests.house.house import ROOT, texts
from workers import WORKERS

FLOORS = ("server", "graph", "workers", "resolvers", "loaders", "models", "services")


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


def test_every_constant_among_the_bounds_is_as_told() -> None:
    # given the rows that name a constant
    rows = re.findall(r"^\| .* \| (.*) \| `([\w.]+)\.(\w+)` \|$", _section("Bounds"), re.MULTILINE)
    assert len(rows) > 30
    # then each tells its value
    for bound, module, name in rows:
        value = getattr(importlib.import_module(module), name)
        assert re.search(rf"(?<![\d,]){value:,}(?![\d,])", bound), (module, name, value, bound)


def test_every_key_in_redis_has_a_bound() -> None:
    names = {
        value.replace("{}", "*").replace("{{", "{").replace("}}", "}")
        for name, value in vars(cache_keys).items()
        if name.isupper() and isinstance(value, str)
    }
    assert set(_table("key")) == names


def test_every_collection_has_a_bound_and_those_that_expire_say_so() -> None:
    rows = _table("collection")
    for document in models.DOCUMENTS:
        indexes = [index.document for index in getattr(document.Settings, "indexes", [])]
        expires = any("expireAfterSeconds" in index for index in indexes)
        bound = rows.pop(document.Settings.name)
        assert ("expire" in bound) is expires, document
    assert not rows


def _table(head: str) -> dict[str, str]:
    """Bounds by each name in the first column of the table with this head."""
    section = _section("Bounds")
    rows = section[section.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    cells = [row.strip("| ").split(" | ") for row in rows]
    assert all(len(row) >= 2 and row[1].strip() for row in cells)
    return {name: row[1] for row in cells for name in re.findall(r"`([^`]+)`", row[0])}


def test_every_key_in_redis_has_a_user() -> None:
    # given the code that could use them
    sources = [file for floor in FLOORS for file in (ROOT / floor).rglob("*.py")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in sources)
    # then each name stands there beside its declaration
    names = [name for name in vars(cache_keys) if name.isupper() and name not in ("HOUR", "DAY")]
    assert [name for name in names if len(re.findall(rf"\b{name}\b", text)) < 2] == []


def test_no_table_has_a_row_twice() -> None:
    for title, head in (("Metrics", "metric"), ("Workers", "worker"), ("Settings", "group")):
        section = _section(title)
        rows = section[section.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
        firsts = [row.split(" | ")[0] for row in rows]
        assert sorted(firsts) == sorted(set(firsts)), title
    settings = re.findall(r"`([A-Z][A-Z0-9_]+)`", _section("Settings").split("\n\n## ")[0])
    listed = [name for name in settings if name.lower() in Settings.model_fields]
    assert sorted(listed) == sorted(set(listed))


@pytest.mark.parametrize("name", ["provider_hedges_total", "audit_entries_total"])
def test_outcomes_of_metrics_are_told_by_the_words_that_are_counted(name: str) -> None:
    (row,) = [line for line in _section("Metrics").splitlines() if line.startswith(f"| `{name}`")]
    sources = [file for floor in FLOORS for file in (ROOT / floor).rglob("*.py")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in sources)
    counted = set(re.findall(rf"{name}\.labels\([^)]*?\"(\w+)\"\)", text))
    assert counted and all(f"`{word}`" in row for word in counted)
