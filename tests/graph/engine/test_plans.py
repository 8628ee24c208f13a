"""What only plans do: batching by levels, answering in time, and costing their making once."""

from __future__ import annotations

import asyncio

import pytest

from graph.engine.documents import Documents
from graph.engine.execution import DeadlineTimer, execute
from graph.engine.execution.plan import GroupPlan, Plan
from graph.engine.operations import Operations, Prepared, Request
from tests.support.execution import sample_schema
from tests.support.execution.execution_cases import add_records, build_sender, read_error_paths
from tests.support.execution.execution_cases_schema import (
    ChosenContext,
    ItemRecord,
)


@pytest.fixture
def planned(case_documents: Documents) -> Operations:
    return Operations(case_documents, by_plan=True, deadline_seconds=5)


async def test_a_level_asks_a_loader_once_whatever_the_siblings_timing(
    planned: Operations, case_context: ChosenContext
) -> None:
    add_records(
        case_context,
        ItemRecord("a", twin_id="c", friend_ids=["d", "c"]),
        ItemRecord("b", twin_id="d"),
    )
    add_records(case_context, ItemRecord("c", twin_id="a"), ItemRecord("d", twin_id="b"))
    body = await build_sender(planned, case_context)(
        """{ slow(seconds: 0.02) { later(seconds: 0.01) { name } twin { id twin { id } } }
             other: slow(id: "b", seconds: 0.002) { twin { id twin { id } } }
             item { friends { id twin { id } } } }"""
    )
    assert body["data"]["item"] == {
        "friends": [{"id": "d", "twin": {"id": "b"}}, {"id": "c", "twin": {"id": "a"}}]
    }
    assert [sorted(keys) for keys in case_context.fetches] == [["c", "d"], ["a", "b"]]


async def test_a_batched_function_is_called_once_a_level(
    planned: Operations, case_context: ChosenContext
) -> None:
    add_records(
        case_context, ItemRecord("a", friend_ids=["b", "c"]), ItemRecord("b"), ItemRecord("c")
    )
    await build_sender(planned, case_context)("{ items { length friends { length } } }")
    assert case_context.seen == [("lengths", ["a", "b", "c"]), ("lengths", ["b", "c"])]


async def test_a_thousand_rows_cost_one_fetch(
    planned: Operations, case_context: ChosenContext
) -> None:
    add_records(case_context, *(ItemRecord(f"{n}", twin_id=f"{999 - n}") for n in range(1000)))
    body = await build_sender(planned, case_context)("{ items { id twin { id twin { id } } } }")
    assert body["data"]["items"] == [
        {"id": f"{n}", "twin": {"id": f"{999 - n}", "twin": {"id": f"{n}"}}} for n in range(1000)
    ]
    assert [len(keys) for keys in case_context.fetches] == [1000]


# deadlines


async def test_objects_built_with_their_parents_cost_as_others_do(
    planned: Operations, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a"), ItemRecord("b"))
    query = "{ items { same { maybe { id } } } item { same { id } } }"
    prepared = planned.prepare(Request(query, {}), case_context)
    assert isinstance(prepared, Prepared) and prepared.plan is not None
    for _ in range(2):  # first one by one, for their class is not known, then all at once
        outcome = await execute(prepared.plan, case_context, prepared.variables)
        assert outcome.data == {
            "items": [{"same": {"maybe": {"id": "a"}}}, {"same": {"maybe": {"id": "b"}}}],
            "item": {"same": {"id": "a"}},
        }
        assert outcome.cost == 2 * 3 + 2


async def test_what_is_late_fails_and_what_is_finished_is_answered(
    case_documents: Documents, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a", twin_id="b"), ItemRecord("b"))
    operations = Operations(case_documents, by_plan=True, deadline_seconds=0.05)
    before = asyncio.get_running_loop().time()
    body = await build_sender(operations, case_context)(
        "{ slow(seconds: 30) { id } quick: slow(seconds: 0) { id name } item { id } }"
    )
    assert asyncio.get_running_loop().time() - before < 5
    assert body["data"] == {
        "slow": None,
        "quick": {"id": "a", "name": "name"},
        "item": {"id": "a"},
    }
    assert read_error_paths(body) == {("TIMEOUT", ("slow",))}


async def test_an_old_wait_ends_in_time_though_a_young_one_began_before_it() -> None:
    # given a wait of an operation that has long to go
    watch, loop = DeadlineTimer(), asyncio.get_running_loop()
    young = loop.create_task(watch.limit(asyncio.sleep(30), loop.time() + 30))
    await asyncio.sleep(0)

    # when an operation that must end soon begins another wait
    before = loop.time()
    with pytest.raises(TimeoutError):
        await watch.limit(asyncio.sleep(30), before + 0.02)

    # then that ends when it should
    assert 0.01 < loop.time() - before < 5
    assert not young.done()
    young.cancel()


# documents and plans

CONDITIONS = """query($a: Boolean!, $b: Boolean! = true) {
  item { id name @skip(if: $a) ... @include(if: $b) { must } }
}"""


async def test_a_document_costs_its_reading_once(
    planned: Operations, case_context: ChosenContext, case_documents: Documents
) -> None:
    add_records(case_context, ItemRecord("a"))
    send = build_sender(planned, case_context)
    for _ in range(5):
        await send(CONDITIONS, a=False)
        assert (await send("{ nonsense }"))["errors"]
    assert (case_documents.counters.parsed, case_documents.counters.compiled) == (2, 1)

    # a plan for each outcome of its conditions, and no more
    for _ in range(5):
        await send(CONDITIONS, a=True)
        await send(CONDITIONS, a=True, b=True)
        await send(CONDITIONS, a=True, b=False)
    assert (case_documents.counters.parsed, case_documents.counters.compiled) == (2, 3)


async def test_introspection_is_run_by_core_as_a_whole(
    planned: Operations, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a"))
    query = '{ item { id } __type(name: "Rock") { name fields { name } } __typename }'
    prepared = planned.prepare(Request(query, {}), case_context)
    assert isinstance(prepared, Prepared)
    assert prepared.plan is None
    assert (await build_sender(planned, case_context)(query))["data"] == {
        "item": {"id": "a"},
        "__type": {"name": "Rock", "fields": [{"name": "id"}, {"name": "weight"}]},
        "__typename": "Query",
    }


def groups(plan: Plan) -> set[GroupPlan]:
    group_plans: set[GroupPlan] = set()
    stack = [plan.root]
    while stack:
        group = stack.pop()
        if group not in group_plans:
            group_plans.add(group)
            stack += [child for one in group.fields for child in one.children.values()]
    return group_plans


def test_nested_abstract_types_make_no_more_plan_than_levels() -> None:
    # given ten levels of an interface of three types, whose every path would make 3^10 groups
    documents = Documents(sample_schema.SCHEMA, sample_schema.CONFIG, introspection=True)
    inner = "id"
    for _ in range(10):
        inner = f"best {{ {inner} }}"
    plan = documents.plan(documents.get(f"{{ aThing {{ {inner} }} }}").operation(None), {})
    assert plan is not None
    # then there are three groups at each level, and the root
    assert len(groups(plan)) == 3 * 11 + 1
