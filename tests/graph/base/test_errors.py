"""Whose fault an error is, and so what clients are told of it: the same under both executors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.execution.execution_cases import add_records
from tests.support.execution.execution_cases_schema import (
    ChosenContext,
    ItemRecord,
)

MASKED = "Something went wrong on our side."


@pytest.mark.parametrize(
    ("record", "query", "path"),
    [
        ({"name": object()}, "{ item { name } }", ["item", "name"]),
        ({"must": None}, "{ item { id must } }", ["item", "must"]),
        ({"tags": 5}, "{ item { tags } }", ["item", "tags"]),
        ({"holes": [object()]}, "{ item { holes } }", ["item", "holes", 0]),
        ({"parts": 5}, "{ item { parts { id } } }", ["item", "parts"]),
        ({"part": "no item"}, "{ item { part { id } } }", ["item", "part"]),
    ],
)
async def test_a_value_of_ours_that_does_not_fit_is_our_fault(
    send_case: Any,
    case_context: ChosenContext,
    record: dict[str, Any],
    query: str,
    path: list[str | int],
) -> None:
    add_records(case_context, ItemRecord("a", **record))
    (error,) = (await send_case(query))["errors"]
    assert error["path"] == path
    assert error["message"] == MASKED
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "-"}


async def test_a_thing_of_no_type_is_our_fault(send_case: Any, case_context: ChosenContext) -> None:
    case_context.store["a"] = object()
    (error,) = (await send_case("{ things { id } }"))["errors"]
    assert (error["path"], error["message"]) == (["things", 0], MASKED)


@pytest.mark.parametrize(
    "query",
    [
        "query ($n: Int = 1) { item { said(number: $n) } }",
        "query ($n: Int = 1) { item { said(numbers: [$n]) } }",
    ],
)
async def test_an_argument_that_does_not_fit_is_the_clients(
    send_case: Any, case_context: ChosenContext, query: str
) -> None:
    add_records(case_context, ItemRecord("a"))
    body = await send_case(query, n=None)
    (error,) = body["errors"]
    assert (error["path"], body["data"]) == (["item", "said"], {"item": {"said": None}})
    assert error["extensions"] == {"code": "VALIDATION_FAILED"}
    assert error["message"] != MASKED
