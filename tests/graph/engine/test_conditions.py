"""Conditions of one operation among several: their variables, their plans, and where plans end."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from graph.base.errors import MAX_ERRORS
from graph.engine.documents import MAX_PLANS, Documents
from graph.engine.operations import Operations, Prepared, Request
from tests.support.execution.execution_cases import add_records
from tests.support.execution.execution_cases_schema import ChosenContext, ItemRecord

NAMES = "abcdefg"
OTHERS = {
    "a list": ("[Int!]", "said(numbers: $s)", [1, 2]),
    "a word": ("String", "said(word: $s)", "skip"),
    "a number": ("Int!", "said(number: $s)", 7),
    "null": ("[Int!]", "said(numbers: $s)", None),
}
FOREIGN = {
    "in the operation": "query B($s: Boolean!) { item { id @skip(if: $s) } }",
    "in its fragment": "query B($s: Boolean!) { item { ...F } } fragment F on Item { "
    "id @include(if: $s) }",
    "on a fragment": "query B($s: Boolean!) { item { id ... @skip(if: $s) { name } } }",
}


@pytest.fixture(params=["plan", "core"])
def operations(request: pytest.FixtureRequest, case_documents: Documents) -> Operations:
    return Operations(case_documents, by_plan=request.param == "plan", deadline_seconds=5)


async def run(operations: Operations, context: ChosenContext, request: Request) -> dict[str, Any]:
    prepared = operations.prepare(request, context)
    if isinstance(prepared, Prepared):
        return (await operations.run(prepared, context)).body()
    return prepared.body()


@pytest.mark.parametrize("foreign", FOREIGN)
@pytest.mark.parametrize("other", OTHERS)
async def test_a_condition_s_name_may_be_a_value_of_another_operation(
    operations: Operations, case_context: ChosenContext, other: str, foreign: str
) -> None:
    # given a variable that is a condition in B, and something else in A
    type_, field, value = OTHERS[other]
    add_records(case_context, ItemRecord("a"))
    document = f"query A($s: {type_}) {{ item {{ {field} }} }} {FOREIGN[foreign]}"

    # when A is asked for
    body = await run(operations, case_context, Request(document, {"s": value}, "A"))

    # then A runs
    assert set(body) == {"data"}
    assert body["data"]["item"]["said"]


async def test_every_combination_of_conditions_is_planned(
    case_documents: Documents, case_context: ChosenContext
) -> None:
    # given a query and a subscription with seven conditions each
    operations = Operations(case_documents, by_plan=True, deadline_seconds=5)
    declared = ", ".join(f"${name}: Boolean!" for name in NAMES)
    fields = " ".join(f"{name}: name @skip(if: ${name})" for name in NAMES)
    for start in (f"query({declared}) {{ item", f"subscription({declared}) {{ changes"):
        document = f"{start} {{ id {fields} }} }}"

        # when all 128 combinations come, twice
        for values in [*product((False, True), repeat=len(NAMES))] * 2:
            variables = dict(zip(NAMES, values, strict=True))
            prepared = operations.prepare(Request(document, variables), case_context)

            # then each has the plan of its own fields, and few are kept
            assert isinstance(prepared, Prepared)
            assert prepared.plan is not None
            (field,) = prepared.plan.root.fields
            keys = {child.key for child in field.children["Item"].fields}
            assert keys == {"id", *(name for name in NAMES if not variables[name])}
            assert len(prepared.operation.plans) <= MAX_PLANS


async def test_plans_are_bounded_by_document_not_by_operation(
    case_documents: Documents, case_context: ChosenContext
) -> None:
    operations = Operations(case_documents, by_plan=True, deadline_seconds=5)
    names = [f"Q{n}" for n in range(20)]
    condition = "($s: Boolean!) { item { id name @skip(if: $s) } }"
    document = " ".join(f"query {name} {condition}" for name in names)
    for name, skipped in product(names, (False, True)):
        request = Request(document, {"s": skipped}, name)
        prepared = operations.prepare(request, case_context)
        assert isinstance(prepared, Prepared)
        assert prepared.plan is not None
        assert len(prepared.operation.plans) <= MAX_PLANS < 2 * len(names)


async def test_the_combination_in_use_is_not_the_one_that_is_dropped(
    case_documents: Documents, case_context: ChosenContext
) -> None:
    # given one combination asked for between all others
    operations = Operations(case_documents, by_plan=True, deadline_seconds=5)
    declared = ", ".join(f"${name}: Boolean!" for name in NAMES)
    fields = " ".join(f"{name}: name @skip(if: ${name})" for name in NAMES)
    document = f"query({declared}) {{ item {{ id {fields} }} }}"
    usual = dict.fromkeys(NAMES, False)
    plans = set()
    for values in product((False, True), repeat=len(NAMES)):
        for variables in (dict(zip(NAMES, values, strict=True)), usual):
            prepared = operations.prepare(Request(document, variables), case_context)
            assert isinstance(prepared, Prepared)
            if variables is usual:
                plans.add(id(prepared.plan))

    # then it was compiled once
    assert len(plans) == 1


async def test_a_null_condition_of_a_subscription_says_so(
    case_documents: Documents, case_context: ChosenContext
) -> None:
    operations = Operations(case_documents, by_plan=True, deadline_seconds=5)
    document = "subscription($s: Boolean = true) { changes { id @skip(if: $s) name } }"
    body = await run(operations, case_context, Request(document, {"s": None}))
    assert "null" in body["errors"][0]["message"]


@pytest.mark.parametrize("failing", [1, MAX_ERRORS, MAX_ERRORS + 1, 5 * MAX_ERRORS])
async def test_an_answer_has_twenty_errors_at_most_and_counts_the_rest(
    operations: Operations, case_context: ChosenContext, failing: int
) -> None:
    # given so many items with a name that fails
    add_records(case_context, *(ItemRecord(str(n), name=object()) for n in range(failing)))

    # when they are asked for
    body = await run(operations, case_context, Request("{ items { id name } }", {}))

    # then all names are null, and the last error says how many are not shown
    assert body["data"]["items"] == [{"id": str(n), "name": None} for n in range(failing)]
    errors = body["errors"]
    assert len(errors) == min(failing, MAX_ERRORS)
    if failing > MAX_ERRORS:
        omitted = failing - MAX_ERRORS + 1
        assert errors[-1] == {
            "message": f"{omitted} more errors are not shown.",
            "extensions": {"code": "INTERNAL_SERVER_ERROR", "omittedErrors": omitted},
        }
    assert all("path" in error for error in errors[: MAX_ERRORS - 1])
