"""Every stored field that an update names is a field of its document.

All updates are built in models/mongo/updates.py, which looks each name up when it is called. Here:
no other module writes an operator, and names that stand in the code are looked up without a call.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator

import pytest

from models.mongo import updates
from models.mongo.base import StoredDocument

from .house import ROOMS, functions, sources

_BUILDERS = "models/mongo/updates.py"
_OPERATORS = {
    f"${name}"
    for name in (
        *("set", "inc", "setOnInsert", "unset", "push", "pull", "pullAll", "addToSet", "pop"),
        *("max", "min", "mul", "rename", "bit", "currentDate", "replaceRoot", "replaceWith"),
    )
}
_FIELD_ARGUMENTS = {"changes", "increments", "on_insert", "pushes", "maxima", "minima", "values"}
_CALLS = {"build_update", "build_revision", "build_row"}
Place = tuple[str, type[StoredDocument], str]


def test_update_operators_stand_in_one_module() -> None:
    # given all our modules, when text that is an update operator is looked for
    elsewhere = [
        f"{path}:{line} {operator}"
        for path, tree in sources(*ROOMS).items()
        if path != _BUILDERS
        for operator, line in _operators(tree)
    ]
    # then only the module that checks field names has any
    assert elsewhere == []


def test_literal_names_of_updates_are_fields_of_their_documents() -> None:
    # given every field that a call of a builder names in the code
    places = list(_literal_places())
    # when it is looked up on the document of the call
    unknown = [
        f"{where}: {document.__name__}.{name}"
        for where, document, name in places
        if not updates.is_stored(document, name)
    ]
    # then the document has it; and the look-up sees the updates of every subject
    assert unknown == []
    assert len(places) > 60
    assert {where.split("/")[1] for where, _, _ in places} >= {"accounts", "ops", "playback"}


@pytest.mark.parametrize("literal", ['{"$set": {"a": 1}}', 'dict([("$inc", 1)])', '"$un" "set"'])
def test_an_operator_written_elsewhere_is_noticed(literal: str) -> None:
    assert len(list(_operators(ast.parse(f"change = {literal}")))) == 1


def test_accumulators_of_a_group_stage_are_no_updates() -> None:
    stages = '[{"$group": {"_id": None, "ids": {"$push": "$_id"}}}]'
    assert list(_operators(ast.parse(stages))) == []


def _operators(tree: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(tree, ast.Constant) and tree.value in _OPERATORS:
        yield str(tree.value), tree.lineno
    elif isinstance(tree, ast.Dict):
        for key, value in zip(tree.keys, tree.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "$group":
                continue
            yield from (each for part in (key, value) if part for each in _operators(part))
    else:
        yield from (each for part in ast.iter_child_nodes(tree) for each in _operators(part))


def _literal_places() -> Iterator[Place]:
    for path, tree in sources("models").items():
        names = vars(importlib.import_module(path.removesuffix(".py").replace("/", ".")))
        for function in functions(tree):
            for call in _builder_calls(function):
                document = names.get(ast.unparse(call.args[0]))
                if isinstance(document, type) and issubclass(document, StoredDocument):
                    for name, line in _literal_names(call, function):
                        yield f"{path}:{line}", document, name


def _builder_calls(function: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _CALLS:
            yield node


def _literal_names(call: ast.Call, function: ast.AST) -> Iterator[tuple[str, int]]:
    """Keys of dicts in the call, also of those that it names and spreads."""
    named = [each.value for each in call.keywords if each.arg in _FIELD_ARGUMENTS]
    dicts = [*call.args[1:2], *named]
    if ast.unparse(call.func) == "build_revision":
        yield from ((each.arg, call.lineno) for each in call.keywords if each.arg)
    while dicts:
        argument = dicts.pop()
        if isinstance(argument, ast.Name):
            dicts += _assigned(argument.id, function)
        elif isinstance(argument, ast.BinOp):
            dicts += [argument.left, argument.right]
        elif isinstance(argument, ast.Dict):
            for key, value in zip(argument.keys, argument.values, strict=True):
                if key is None:
                    dicts.append(value)
                elif isinstance(key, ast.Constant):
                    yield str(key.value), key.lineno


def _assigned(name: str, function: ast.AST) -> list[ast.expr]:
    return [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]
