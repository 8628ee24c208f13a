"""Documents are checked before clients send them: what breaks, what it costs, who may cache it."""

from __future__ import annotations

import pytest
from graphql import GraphQLObjectType, build_schema, print_schema

from graph.contract import UnreadableSchema
from graph.engine.document_check import check_against, check_documents
from graph.schema import open_documents, sdl
from services.settings.settings import Settings
from tests.support.operation_files import operations

USING = {
    "directly": "{ movies { nodes { tagline } } }",
    "under-another-name": "{ movies { nodes { words: tagline } } }",
    "in-a-fragment": "{ movies { nodes { ...M } } } fragment M on Movie { tagline }",
    "by-type": '{ node(id: "movie_1") { ... on Movie { tagline } } }',
    "in-one-of-two": "query A { movies { nodes { id } } } query B { movies { nodes { tagline } } }",
    "skipped": "{ movies { nodes { tagline @skip(if: true) id } } }",
}
OTHERS = {
    "another-field": "{ movies { nodes { title } } }",
    "the-name-alone": "{ movies { nodes { tagline: title } } }",
    "a-comment": "{ movies { nodes { title } } } # tagline",
    "a-text": '{ search(query: "tagline") { nodes { ... on Movie { title } } } }',
}


def schema_without(type_name: str, field: str) -> str:
    schema = build_schema(sdl())
    kind = schema.type_map[type_name]
    assert isinstance(kind, GraphQLObjectType)
    del kind.fields[field]
    return print_schema(schema)


def test_a_removed_field_breaks_exactly_the_documents_that_use_it() -> None:
    texts = USING | OTHERS
    # given that all run today
    assert not any(one.problems for one in check_against(sdl(), texts))
    # when a field goes
    reports = check_against(schema_without("Movie", "tagline"), texts)
    # then those that ask for it are named, with the reason, and no other
    assert {one.id for one in reports if one.problems} == USING.keys()
    assert all("tagline" in problem for one in reports for problem in one.problems)
    assert [one.operations for one in reports if one.id == "in-one-of-two"] == [["A", "B"]]


def test_what_the_web_client_sends_runs() -> None:
    texts = {one.name: one.query for one in operations()}
    documents = open_documents(Settings(_env_file=None))
    assert [one for one in check_documents(documents, texts) if one.problems] == []
    assert [one for one in check_against(sdl(), texts) if one.problems] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{ nope }", "Cannot query field 'nope'"),
        ("{", "Syntax Error"),
        ("{ a" + "{ a" * 20 + "}" * 21, "levels"),
        ("{ movies { nodes { " + "similar { " * 12 + "id" + " }" * 12 + " } } }", ""),
    ],
    ids=["an unknown field", "no document", "too deep", "too costly"],
)
def test_what_this_service_refuses_is_a_problem(text: str, problem: str) -> None:
    (report,) = check_documents(open_documents(Settings(_env_file=None)), {"one": text})
    assert report.problems
    assert problem in report.problems[0]


@pytest.mark.parametrize(
    ("text", "mixed"),
    [
        ("{ movies { nodes { title } } }", None),
        ("{ viewer { id } }", None),
        ("mutation { logout(input: {}) { errors { code } } }", None),
        ("{ movies { nodes { progress { id } } } }", (["Query.movies"], ["Movie.progress"])),
        ("{ genres { id } viewer { id } }", (["Query.genres"], ["Query.viewer"])),
        (
            "{ genres { id } ...V } fragment V on Query { viewer { id } }",
            (["Query.genres"], ["Query.viewer"]),
        ),
        ("query A { genres { id } } query B { viewer { id } }", None),
        ("{ genres { id } __typename }", None),
    ],
)
def test_documents_that_mix_public_and_private_fields_are_named(
    text: str, mixed: tuple[list[str], list[str]] | None
) -> None:
    (report,) = check_documents(open_documents(Settings(_env_file=None)), {"one": text})
    assert (report.mixed, list(report.problems)) == (mixed, [])


def test_cost_and_caching_are_told() -> None:
    texts = {
        "genres": "{ genres { name } }",
        "films": "{ movies(first: 3) { nodes { title } } genres { id } }",
        "me": "{ viewer { id } }",
    }
    reports = check_documents(open_documents(Settings(_env_file=None)), texts)
    assert {one.id: one.max_age_seconds for one in reports} == {
        "genres": 300,
        "films": 60,
        "me": None,
    }
    costs = {one.id: one.cost for one in reports}
    assert costs["films"] > costs["genres"] > costs["me"] > 0


def test_a_file_that_is_no_schema_is_told() -> None:
    with pytest.raises(UnreadableSchema, match="cannot be read"):
        check_against("type Query {", USING)
