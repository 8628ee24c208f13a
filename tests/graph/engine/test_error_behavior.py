"""`onError`: what an error does to the data around it, the same by both executors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from graph.engine.documents import Documents
from graph.engine.error_behavior import ErrorBehavior
from graph.engine.operations import Answer, Operations, Request
from tests.support.execution.execution_cases import add_records, read_error_paths
from tests.support.execution.execution_cases_schema import ChosenContext, ItemRecord

BROKEN = "INTERNAL_SERVER_ERROR"
SendWith = Callable[[ErrorBehavior, str], Awaitable[dict[str, Any]]]


@pytest.fixture(params=["plan", "core"])
def send_with(
    request: pytest.FixtureRequest, case_documents: Documents, case_context: ChosenContext
) -> SendWith:
    operations = Operations(case_documents, by_plan=request.param == "plan", deadline_seconds=5)

    async def send(behavior: ErrorBehavior, query: str) -> dict[str, Any]:
        prepared = operations.prepare(Request(query, {}, on_error=behavior), case_context)
        assert not isinstance(prepared, Answer)
        return (await operations.run(prepared, case_context)).body()

    return send


@pytest.fixture(autouse=True)
def _one_of_two_is_broken(case_context: ChosenContext) -> None:
    add_records(case_context, ItemRecord("a"), ItemRecord("b", must=None, tags=["x", None]))


async def test_null_loses_nothing_but_the_field_with_the_error(send_with: SendWith) -> None:
    # given fields that may not be null in lists that may not hold null
    body = await send_with(ErrorBehavior.NULL, "{ items { id must same { must tags } } }")
    # then each error nulls its own position, items of lists too
    first, second = body["data"]["items"]
    assert first["must"] == "must"
    assert second == {"id": "b", "must": None, "same": {"must": None, "tags": ["x", None]}}
    assert read_error_paths(body) == {
        (BROKEN, ("items", 1, "must")),
        (BROKEN, ("items", 1, "same", "must")),
        (BROKEN, ("items", 1, "same", "tags", 1)),
    }


async def test_propagate_is_what_happens_without_it(send_with: SendWith) -> None:
    body = await send_with(ErrorBehavior.PROPAGATE, "{ items { id must } }")
    assert body["data"] is None
    assert read_error_paths(body) == {(BROKEN, ("items", 1, "must"))}


async def test_halt_answers_with_the_first_error_alone(send_with: SendWith) -> None:
    # given an error that would null one item of a list, and more of them
    body = await send_with(ErrorBehavior.HALT, "{ maybeItems { must } items { must } }")
    # then there is no data and one error
    assert body["data"] is None
    ((code, _),) = read_error_paths(body)
    assert code == BROKEN


async def test_halt_ends_a_mutation_before_the_next_field(
    send_with: SendWith, case_context: ChosenContext
) -> None:
    query = '{ one: write(word: "a") { id } two: write(word: "fails") { id } three: write { id } }'
    body = await send_with(ErrorBehavior.HALT, f"mutation {query}")
    assert body["data"] is None
    assert read_error_paths(body) == {("NOT_FOUND", ("two",))}
    assert case_context.seen == ["begin a", "end a", "begin fails"]


@pytest.mark.parametrize("behavior", ErrorBehavior)
async def test_without_errors_all_are_alike(send_with: SendWith, behavior: ErrorBehavior) -> None:
    body = await send_with(behavior, '{ item(id: "a") { id must } }')
    assert body == {"data": {"item": {"id": "a", "must": "must"}}}
