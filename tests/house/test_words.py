"""Names are the field's terms: no vague words, one meaning per public class, documented floors."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.house.house import ROOMS, Function, sources

_VAGUE = {"told", "asked", "heard", "kept", "standing"}
# Names of fields in stored documents: another name would be a migration.
_STORED_FIELDS = {
    ("models/catalog/imported_titles.py", "told"),
    ("models/ops/purges.py", "is_told"),
}
_DOCUMENTED_ROOMS = ("services", "models", "loaders", "resolvers")
_LEAST_DOCUMENTED = 0.9


def test_no_name_contains_a_vague_word() -> None:
    # given the source, what tests share, and the benchmark without the servers it compares
    trees = {
        file: tree
        for file, tree in sources(*ROOMS, "tests/support", "bench").items()
        if not file.startswith("bench/peers/")
    }
    # when the parts of every name defined there are looked at
    vague = [
        (file, name, line)
        for file, tree in trees.items()
        for name, line in _defined_names(tree)
        if _parts(name) & _VAGUE
    ]
    # then none of them is vague but what is stored under such a name
    assert [entry for entry in vague if entry[:2] not in _STORED_FIELDS] == []
    assert {entry[:2] for entry in vague} >= _STORED_FIELDS


def test_a_public_class_name_is_defined_once_per_floor() -> None:
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file, tree in sources(*ROOMS).items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[file.split("/")[0], node.name].append(file)
    assert {name: files for name, files in places.items() if len(files) > 1} == {}


def test_nine_of_ten_public_functions_have_a_docstring() -> None:
    # given the public functions and methods of the floors below the schema
    functions = [
        (room, f"{file}:{function.lineno} {function.name}", ast.get_docstring(function))
        for room in _DOCUMENTED_ROOMS
        for file, tree in sources(room).items()
        for function in _public_functions(tree.body)
    ]
    # when the documented ones are counted
    total = Counter(room for room, _, _ in functions)
    documented = Counter(room for room, _, text in functions if text)
    # then each floor has enough of them
    shares = {room: documented[room] / total[room] for room in _DOCUMENTED_ROOMS}
    missing = [where for room, where, text in functions if not text and _is_short(shares[room])]
    assert {room: share for room, share in shares.items() if _is_short(share)} == {}, missing


def test_only_a_folder_s_init_re_exports() -> None:
    only_re_exporting = [
        file
        for file, tree in sources(*ROOMS).items()
        if not file.endswith("/__init__.py") and _only_re_exports(tree)
    ]
    assert only_re_exporting == []


def _parts(name: str) -> set[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def _defined_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Functions, classes, arguments, attributes and variables, with the lines that define them."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node.lineno
            case ast.arg():
                yield node.arg, node.lineno
            case ast.Name(ctx=ast.Store()):
                yield node.id, node.lineno
            case ast.Attribute(ctx=ast.Store()):
                yield node.attr, node.lineno
            case ast.ExceptHandler(name=str(bound)) | ast.MatchAs(name=str(bound)):
                yield bound, node.lineno
            case ast.alias(asname=str(bound)):
                yield bound, node.lineno


def _public_functions(body: list[ast.stmt]) -> Iterator[Function]:
    """Public functions of a module and public methods of its public classes."""
    for node in body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _public_functions(node.body)


def _is_short(share: float) -> bool:
    return share < _LEAST_DOCUMENTED


def _only_re_exports(tree: ast.Module) -> bool:
    """Whether a module has imports, and besides them at most a docstring and `__all__`."""
    statements = tree.body[1:] if ast.get_docstring(tree) else tree.body
    imported = [node for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
    own = [node for node in statements if node not in imported and not _is_export_list(node)]
    return bool(imported) and not own


def _is_export_list(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Assign | ast.AnnAssign):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets)
