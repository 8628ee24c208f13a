"""`python -m server schema check`, as releases and `make check` run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from graph.contract import Criticality, compare_schemas
from graph.schema import sdl
from tests.house.house import ROOT
from tests.support.processes import Process

OLD = "type Query { film: String! year: Int }"
RELEASED = ROOT / "docs" / "schema-released.graphql"


@pytest.mark.parametrize(
    ("new", "status", "lines"),
    [
        (OLD, 0, ["No changes detected"]),
        (
            "type Query { film: String! year: Int more: Int }",
            0,
            ["✔  Field 'more' was added to object type 'Query'", "No breaking changes detected"],
        ),
        (
            "type Query { year(of: Int): Int more: Int }",
            1,
            [
                "Detected the following changes (3) between schemas:",
                "✖  Field 'film' was removed from object type 'Query'",
                "⚠  Argument 'of: Int' added to field 'Query.year'",
                "✔  Field 'more' was added to object type 'Query'",
                "Detected 1 breaking change",
            ],
        ),
        ("type Query {", 2, ["The new schema cannot be read"]),
    ],
)
async def test_the_exit_status_says_whether_a_change_is_breaking(
    tmp_path: Path, new: str, status: int, lines: list[str]
) -> None:
    files = tmp_path / "old.graphql", tmp_path / "new.graphql"
    files[0].write_text(OLD)
    files[1].write_text(new)
    arguments = ("schema", "check", *map(str, files))
    environment = {"PYTHONIOENCODING": "utf-8"}
    with Process(tmp_path / "run", *arguments, environment=environment) as process:
        assert await process.ended() == status
        at = [process.output.find(line) for line in lines]
    assert -1 not in at and at == sorted(at)


def test_nothing_breaks_who_uses_the_released_schema() -> None:
    changes = compare_schemas(RELEASED.read_text(encoding="utf-8"), sdl())
    assert [one.message for one in changes if one.criticality is Criticality.BREAKING] == []


def test_make_check_compares_with_the_released_schema() -> None:
    text = (ROOT / "Makefile").read_text()
    check = text[text.index("\ncheck:") : text.index("\nfmt:")]
    assert "server schema check docs/schema-released.graphql" in check
