"""What both executors do in chosen cases, told exactly."""

from __future__ import annotations

from typing import Any

import pytest

from graph.engine.documents import Documents
from graph.engine.operations import Operations, Prepared, Request
from tests.support.execution.execution_cases import (
    Send,
    add_records,
    read_error_paths,
)
from tests.support.execution.execution_cases_schema import (
    ChosenContext,
    ItemRecord,
    RockRecord,
)

BROKEN = "INTERNAL_SERVER_ERROR"


# nulls and errors


async def test_a_null_bubbles_through_lists_and_non_null_fields_to_the_root(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a"), ItemRecord("b", must=None))
    body = await send_case("{ items { same { same { must } } } }")
    assert body["data"] is None
    assert read_error_paths(body) == {(BROKEN, ("items", 1, "same", "same", "must"))}


async def test_a_null_stops_at_the_nearest_nullable_position(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a"), ItemRecord("b", must=None))
    body = await send_case("{ maybeItems { maybe { same { must } } } items { maybe { must } } }")
    assert body["data"] == {
        "maybeItems": [{"maybe": {"same": {"must": "must"}}}, {"maybe": None}],
        "items": [{"maybe": {"must": "must"}}, {"maybe": None}],
    }
    assert read_error_paths(body) == {
        (BROKEN, ("maybeItems", 1, "maybe", "same", "must")),
        (BROKEN, ("items", 1, "maybe", "must")),
    }


async def test_a_bad_item_nulls_itself_or_its_list(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a", tags=["x", None], holes=["y", None, object()]))
    body = await send_case("{ item { tags holes } }")
    assert body["data"] == {"item": {"tags": None, "holes": ["y", None, None]}}
    assert {path for _, path in read_error_paths(body)} == {
        ("item", "tags", 1),
        ("item", "holes", 2),
    }


async def test_a_record_under_two_parents_tells_both_paths(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(
        case_context,
        ItemRecord("a", friend_ids=["b", "c"]),
        ItemRecord("b", name=RuntimeError("no")),
    )
    add_records(case_context, ItemRecord("c", twin_id="b", friend_ids=["b"]))
    body = await send_case("{ item { friends { name twin { name } friends { name } } } }")
    bad = {"name": None}
    assert body["data"]["item"]["friends"] == [
        {"name": None, "twin": None, "friends": []},
        {"name": "name", "twin": bad, "friends": [bad]},
    ]
    at = ("item", "friends")
    assert read_error_paths(body) == {
        (BROKEN, (*at, 0, "name")),
        (BROKEN, (*at, 1, "twin", "name")),
        (BROKEN, (*at, 1, "friends", 0, "name")),
    }


async def test_a_relation_that_must_be_there_and_is_not_is_an_error(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(
        case_context, ItemRecord("a"), ItemRecord("b", twin_id="gone"), ItemRecord("c", twin_id="a")
    )
    body = await send_case("{ maybeItems { maybe { mustTwin { id } } twin { id } } }")
    assert body["data"]["maybeItems"] == [
        {"maybe": None, "twin": None},
        {"maybe": None, "twin": None},
        {"maybe": {"mustTwin": {"id": "a"}}, "twin": {"id": "a"}},
    ]
    assert read_error_paths(body) == {
        (BROKEN, ("maybeItems", 0, "maybe", "mustTwin")),
        (BROKEN, ("maybeItems", 1, "maybe", "mustTwin")),
    }


async def test_no_parent_at_all_has_what_must_be_there(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a"))
    body = await send_case("{ item { mustTwin { id } } }")
    assert body["data"] == {"item": None}
    assert read_error_paths(body) == {(BROKEN, ("item", "mustTwin"))}


async def test_a_failing_loader_fails_the_fields_that_use_it(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(
        case_context,
        ItemRecord("a", twin_id="b"),
        ItemRecord("b"),
        ItemRecord("c", friend_ids=["a"]),
    )
    case_context.loader_fails = True
    body = await send_case("{ items { twin { id } maybeFriends { id } } }")
    assert body["data"]["items"] == [
        {"twin": None, "maybeFriends": []},
        {"twin": None, "maybeFriends": []},
        {"twin": None, "maybeFriends": None},
    ]
    assert read_error_paths(body) == {
        ("UPSTREAM_UNAVAILABLE", ("items", 0, "twin")),
        ("UPSTREAM_UNAVAILABLE", ("items", 2, "maybeFriends")),
    }


async def test_a_batched_function_fails_for_one_or_for_all(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a"), ItemRecord("b", name="one"))
    body = await send_case("{ items { length } }")
    assert body["data"] == {"items": [{"length": 4}, {"length": None}]}
    assert read_error_paths(body) == {("NOT_FOUND", ("items", 1, "length"))}


async def test_a_batched_function_that_miscounts_fails_for_all(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a"), ItemRecord("b"))
    body = await send_case("{ items { short } }")
    assert body["data"] == {"items": [{"short": None}, {"short": None}]}
    assert read_error_paths(body) == {
        (BROKEN, ("items", 0, "short")),
        (BROKEN, ("items", 1, "short")),
    }


# selection


async def test_aliases_and_merged_fields_keep_the_order_of_the_query(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a", name="A", twin_id="b"), ItemRecord("b", name="B"))
    body = await send_case(
        """{ z: item { name ...More } y: item(id: "b") { n: name } z: item { id twin { name } } }
        fragment More on Item { twin { id twin { id } } must }"""
    )
    assert list(body["data"]) == ["z", "y"]
    assert list(body["data"]["z"].items()) == [
        ("name", "A"),
        ("twin", {"id": "b", "twin": None, "name": "B"}),
        ("must", "must"),
        ("id", "a"),
    ]
    assert body["data"]["y"] == {"n": "B"}


async def test_fragments_apply_to_the_types_they_name(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a"), RockRecord("b", weight=7))
    body = await send_case(
        """{
          things { __typename ...T ... on Rock { weight } }
          anything { kind: __typename ... on Thing { id ... on Item { ...T must } } ...R }
        }
        fragment T on Thing { id ... on Item { name } }
        fragment R on Any { ... on Rock { ... { weight } } }"""
    )
    assert body == {
        "data": {
            "things": [
                {"__typename": "Item", "id": "a", "name": "name"},
                {"__typename": "Rock", "id": "b", "weight": 7},
            ],
            "anything": [
                {"kind": "Item", "id": "a", "name": "name", "must": "must"},
                {"kind": "Rock", "id": "b", "weight": 7},
            ],
        }
    }


async def test_a_value_of_no_possible_type_is_an_error_of_its_position(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(
        case_context,
        ItemRecord("a", parts=[ItemRecord("p"), RockRecord("r")], part=RockRecord("q")),
    )
    body = await send_case("{ item { parts { id } part { id } } }")
    assert body["data"] == {"item": {"parts": None, "part": None}}
    assert {path for _, path in read_error_paths(body)} == {("item", "parts", 1), ("item", "part")}


CONDITIONS = """query($a: Boolean!, $b: Boolean! = true) {
  item { id name @skip(if: $a) ... @include(if: $b) { must } ...F @skip(if: $a) @include(if: $b) }
}
fragment F on Item { tags }"""


async def test_conditions_by_variable(send_case: Send, case_context: ChosenContext) -> None:
    add_records(case_context, ItemRecord("a"))
    whole = {"id": "a", "name": "name", "must": "must", "tags": []}
    assert (await send_case(CONDITIONS, a=False))["data"] == {"item": whole}
    assert (await send_case(CONDITIONS, a=True))["data"] == {"item": {"id": "a", "must": "must"}}
    assert (await send_case(CONDITIONS, a=True, b=False))["data"] == {"item": {"id": "a"}}


async def test_a_null_condition_is_an_error(send_case: Send, case_context: ChosenContext) -> None:
    add_records(case_context, ItemRecord("a"))
    body = await send_case("query($a: Boolean = true) { item { id name @skip(if: $a) } }", a=None)
    assert body["data"] == {"item": None}
    assert read_error_paths(body) == {("VALIDATION_FAILED", ("item",))}


# arguments


async def test_arguments_are_coerced(send_case: Send, case_context: ChosenContext) -> None:
    add_records(case_context, ItemRecord("a"))
    body = await send_case(
        """query($n: Int! = 3, $missing: String, $one: [Int!]) { item {
          a: said b: said(number: $n, numbers: 4, word: $missing)
          c: said(numbers: $one, word: null) d: said(numbers: [$n, 5])
        } }""",
        one=6,
    )
    assert body["data"]["item"] == {
        "a": "1 None None",
        "b": "3 [4] None",
        "c": "1 [6] None",
        "d": "1 [3, 5] None",
    }


async def test_a_null_where_the_argument_must_not_be_is_the_fields_error(
    send_case: Send, case_context: ChosenContext
) -> None:
    add_records(case_context, ItemRecord("a"))
    body = await send_case("query($n: Int) { item { id said(number: $n) } }", n=None)
    assert body["data"] == {"item": {"id": "a", "said": None}}
    assert read_error_paths(body) == {("VALIDATION_FAILED", ("item", "said"))}


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query($p: Pick!) { picked(pick: $p) }", {"p": {"id": "a", "number": 1}}),
        ("query($p: Pick!) { picked(pick: $p) }", {"p": {"id": None}}),
        ('{ picked(pick: {id: "a", number: 1}) }', {}),
        ("query($p: Pick! = {id: null}) { picked(pick: $p) }", {}),
        ("query($n: Int!) { item { said(number: $n) } }", {"n": "1"}),
        ("query($n: Int!) { item { said(number: $n) } }", {"n": 2**31}),
        ("query($n: Int!) { item { said(number: $n) } }", {}),
    ],
)
async def test_what_cannot_be_coerced_is_refused_before_anything_runs(
    send_case: Send, case_context: ChosenContext, query: str, variables: dict[str, Any]
) -> None:
    add_records(case_context, ItemRecord("a"))
    body = await send_case(query, **variables)
    assert "data" not in body
    assert {one["extensions"]["code"] for one in body["errors"]} == {"VALIDATION_FAILED"}


# mutations and subscriptions


async def test_mutations_run_one_after_another(
    send_case: Send, case_context: ChosenContext
) -> None:
    body = await send_case(
        'mutation { a: write(word: "slow") { length } b: write(word: "fails") { id } '
        'c: write(word: "c") { length } }'
    )
    assert body["data"] == {"a": {"length": 4}, "b": None, "c": {"length": 4}}
    assert read_error_paths(body) == {("NOT_FOUND", ("b",))}
    assert case_context.seen == [
        "begin slow",
        "end slow",
        ("lengths", ["slow"]),
        "begin fails",
        "begin c",
        "end c",
        ("lengths", ["c"]),
    ]


async def test_a_mutation_that_must_not_fail_stops_those_after_it(
    send_case: Send, case_context: ChosenContext
) -> None:
    body = await send_case(
        'mutation { a: write(word: "a") { id } b: mustWrite(word: "fails") { id } '
        'c: write(word: "c") { id } }'
    )
    assert body["data"] is None
    assert read_error_paths(body) == {("NOT_FOUND", ("b",))}
    assert case_context.seen == ["begin a", "end a", "begin fails"]


@pytest.mark.parametrize("by_plan", [True, False])
async def test_every_event_has_loaders_of_its_own(
    case_documents: Documents, case_context: ChosenContext, by_plan: bool
) -> None:
    # given a record that changes before each event
    add_records(case_context, ItemRecord("a", name="before"))
    operations = Operations(case_documents, by_plan=by_plan, deadline_seconds=5)
    prepared = operations.prepare(
        Request("subscription { changes { id twin { name } } }", {}), case_context
    )
    assert isinstance(prepared, Prepared)

    # when
    answers = [answer.body() async for answer in operations.subscribe(prepared, case_context)]

    # then each event saw the record as it was then, and fetched it itself
    assert answers == [
        {"data": {"changes": {"id": "event", "twin": {"name": "first"}}}},
        {"data": {"changes": {"id": "event", "twin": {"name": "second"}}}},
    ]
