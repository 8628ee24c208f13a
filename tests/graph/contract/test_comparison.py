"""Each kind of change of a schema: its criticality and its words."""

from __future__ import annotations

import pytest
from graphql import build_schema, find_breaking_changes, find_dangerous_changes

from graph.contract import Criticality, UnreadableSchema, compare_schemas
from graph.schema import sdl

BASE = """
directive @auth(requires: Role! = USER) on FIELD_DEFINITION | OBJECT
directive @constraint(maxItems: Int, maxLength: Int, min: Float, max: Float) on ARGUMENT_DEFINITION
directive @cost(weight: String!) on FIELD_DEFINITION
directive @old repeatable on OBJECT | SCALAR
enum Role { ANONYMOUS USER OPERATOR ADMIN }
scalar URL @specifiedBy(url: "https://url.example/1")
interface Node { id: ID! }
"A film."
type Film implements Node {
  id: ID! title: String! year: Int genres(first: Int = 5, exact: Boolean): [String!]
  views: Int @deprecated(reason: "Use `plays`.")
}
type Show { name: String }
union Title = Film | Show
input Filter { year: Int = 1990 text: String! }
type Query {
  films(filter: Filter, ids: [ID!] @constraint(maxItems: 50)): [Film!] @cost(weight: "2")
  title: Title
}
type Mutation { save(text: String!): Film @auth(requires: USER) }
"""
B, D, S = Criticality.BREAKING, Criticality.DANGEROUS, Criticality.SAFE
CHANGES = [
    ("title: String! ", "", B, "Field 'title' was removed from object type 'Film'"),
    (
        '  views: Int @deprecated(reason: "Use `plays`.")\n',
        "",
        B,
        "Field 'views' (deprecated) was removed from object type 'Film'",
    ),
    (
        "year: Int genres",
        "year: Int length: Int genres",
        S,
        "Field 'length' was added to object type 'Film'",
    ),
    (
        "title: String!",
        "title: String",
        B,
        "Field 'Film.title' changed type from 'String!' to 'String'",
    ),
    (
        "year: Int genres",
        "year: Int! genres",
        S,
        "Field 'Film.year' changed type from 'Int' to 'Int!'",
    ),
    ("first: Int = 5, ", "", B, "Argument 'first: Int' was removed from field 'Film.genres'"),
    (
        "exact: Boolean)",
        "exact: Boolean, by: ID)",
        D,
        "Argument 'by: ID' added to field 'Film.genres'",
    ),
    (
        "exact: Boolean)",
        "exact: Boolean, by: ID! = 1)",
        D,
        "Argument 'by: ID!' (with default value) added to field 'Film.genres'",
    ),
    (
        "exact: Boolean)",
        "exact: Boolean, by: ID!)",
        B,
        "Argument 'by: ID!' added to field 'Film.genres'",
    ),
    (
        "exact: Boolean)",
        "exact: Boolean!)",
        B,
        "Type for argument 'exact' on field 'Film.genres' changed from 'Boolean' to 'Boolean!'",
    ),
    (
        "save(text: String!)",
        "save(text: String)",
        S,
        "Type for argument 'text' on field 'Mutation.save' changed from 'String!' to 'String'",
    ),
    (
        "first: Int = 5",
        "first: Int = 9",
        D,
        "Default value for argument 'first' on field 'Film.genres' changed from '5' to '9'",
    ),
    (
        "exact: Boolean)",
        "exact: Boolean = true)",
        D,
        "Default value 'true' was added to argument 'exact' on field 'Film.genres'",
    ),
    (
        "enum Role { ANONYMOUS",
        "enum Role {",
        B,
        "Enum value 'ANONYMOUS' was removed from enum 'Role'",
    ),
    ("OPERATOR ADMIN", "OPERATOR ADMIN OWNER", D, "Enum value 'OWNER' was added to enum 'Role'"),
    (
        "USER OPERATOR",
        'USER @deprecated(reason: "no") OPERATOR',
        S,
        "Enum value 'Role.USER' was deprecated with reason 'no'",
    ),
    ("year: Int = 1990 ", "", B, "Input field 'year' was removed from input object type 'Filter'"),
    (
        "text: String! }",
        "text: String! more: Int }",
        D,
        "Input field 'more' of type 'Int' was added to input object type 'Filter'",
    ),
    (
        "text: String! }",
        "text: String! more: Int! }",
        B,
        "Input field 'more' of type 'Int!' was added to input object type 'Filter'",
    ),
    (
        "year: Int = 1990",
        "year: Int = 2000",
        D,
        "Input field 'Filter.year' default value changed from '1990' to '2000'",
    ),
    (
        "text: String! }",
        "text: String }",
        S,
        "Input field 'Filter.text' changed type from 'String!' to 'String'",
    ),
    (
        "type Film implements Node",
        "type Film",
        B,
        "'Film' object type no longer implements 'Node' interface",
    ),
    ("Title = Film | Show", "Title = Film", B, "Member 'Show' was removed from Union type 'Title'"),
    ("type Query", "type Person { id: ID! }\ntype Query", S, "Type 'Person' was added"),
    (
        "url.example/1",
        "url.example/2",
        D,
        "Scalar 'URL' specification changed from "
        "'https://url.example/1' to 'https://url.example/2'",
    ),
    (
        '"A film."',
        '"A movie."',
        S,
        "Description 'A film.' on type 'Film' has changed to 'A movie.'",
    ),
    ('"A film."\n', "", S, "Description was removed from object type 'Film'"),
    (
        "year: Int genres",
        'year: Int @deprecated(reason: "Use `released`.") genres',
        S,
        "Field 'Film.year' is deprecated",
    ),
    (' @deprecated(reason: "Use `plays`.")', "", D, "Field 'Film.views' is no longer deprecated"),
    (
        "Use `plays`.",
        "Use `seen`.",
        S,
        "Deprecation reason on field 'Film.views' has changed from 'Use `plays`.' to 'Use `seen`.'",
    ),
    ("directive @old repeatable on OBJECT | SCALAR\n", "", B, "Directive 'old' was removed"),
    ("OBJECT | SCALAR", "OBJECT", B, "Location 'SCALAR' was removed from directive 'old'"),
    ("@old repeatable on", "@old on", B, "Directive 'old' is no longer repeatable"),
    ("directive @old", "directive @new on OBJECT\ndirective @old", S, "Directive 'new' was added"),
    # what applied directives mean
    (
        "year: Int genres",
        "year: Int @auth genres",
        B,
        "Directive 'auth' was added to field 'Film.year'",
    ),
    (" @auth(requires: USER)", "", S, "Directive 'auth' was removed from field 'Mutation.save'"),
    (
        "@auth(requires: USER)",
        "@auth(requires: ADMIN)",
        B,
        "Directive 'auth' on field 'Mutation.save' "
        "changed from '@auth(requires: USER)' to '@auth(requires: ADMIN)'",
    ),
    (
        "@auth(requires: USER)",
        "@auth(requires: ANONYMOUS)",
        S,
        "Directive 'auth' on field "
        "'Mutation.save' changed from '@auth(requires: USER)' to '@auth(requires: ANONYMOUS)'",
    ),
    (
        "maxItems: 50",
        "maxItems: 9",
        B,
        "Directive 'constraint' on argument 'ids' on field 'Query.films' "
        "changed from '@constraint(maxItems: 50)' to '@constraint(maxItems: 9)'",
    ),
    (
        "maxItems: 50",
        "maxItems: 500",
        S,
        "Directive 'constraint' on argument 'ids' on field "
        "'Query.films' changed from '@constraint(maxItems: 50)' to '@constraint(maxItems: 500)'",
    ),
    (
        " @constraint(maxItems: 50)",
        "",
        S,
        "Directive 'constraint' was removed from argument 'ids' on field 'Query.films'",
    ),
    (
        'weight: "2"',
        'weight: "20"',
        D,
        "Directive 'cost' on field 'Query.films' changed from "
        "'@cost(weight: \"2\")' to '@cost(weight: \"20\")'",
    ),
]


def change(before: str, after: str) -> str:
    assert BASE.count(before) == 1, before
    return BASE.replace(before, after)


@pytest.mark.parametrize(("before", "after", "criticality", "message"), CHANGES)
def test_a_change_is_told_with_its_criticality(
    before: str, after: str, criticality: Criticality, message: str
) -> None:
    (found,) = compare_schemas(BASE, change(before, after))
    assert (found.criticality, found.message) == (criticality, message)


@pytest.mark.parametrize(("before", "after"), [row[:2] for row in CHANGES])
def test_what_graphql_core_calls_breaking_or_dangerous_is_no_less_here(
    before: str, after: str
) -> None:
    for old, new in ((BASE, change(before, after)), (change(before, after), BASE)):
        levels = {one.criticality for one in compare_schemas(old, new)}
        schemas = build_schema(old), build_schema(new)
        if find_breaking_changes(*schemas):
            assert Criticality.BREAKING in levels
        if find_dangerous_changes(*schemas):
            assert levels & {Criticality.BREAKING, Criticality.DANGEROUS}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("type Show { name: String }", "input Show { name: String }", "'Show' kind changed from"),
        ("type Mutation {", "type Changes {", "Schema mutation root has changed"),
        (
            "interface Node { id: ID! }",
            "interface Node { id: ID! key: ID }",
            "Field 'key' was added",
        ),
    ],
)
def test_changes_with_consequences_are_among_all_of_them(
    before: str, after: str, message: str
) -> None:
    new = change(before, after).replace("union Title = Film | Show", "union Title = Film")
    new = new if "key" not in after else new.replace("type Film implements Node", "type Film")
    assert any(one.message.startswith(message) for one in compare_schemas(BASE, new))


def test_the_most_critical_comes_first_and_equals_have_no_change() -> None:
    new = change("title: String! ", "").replace("enum Role {", "enum Role { OWNER")
    new += "type Extra { id: ID }"
    assert [one.criticality for one in compare_schemas(BASE, new)] == [B, D, S]
    assert compare_schemas(sdl(), sdl()) == []


@pytest.mark.parametrize("text", ["type Query {", "type Film { id: Nope }", "nonsense"])
def test_what_is_no_schema_is_named(text: str) -> None:
    with pytest.raises(UnreadableSchema, match="The new schema cannot be read"):
        compare_schemas(BASE, text)
