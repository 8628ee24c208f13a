"""A folder of `.graphql` files as documents: a file with operations is one, as it is written.

Files of fragments alone are no documents: their fragments are added, as they are written, to those
that spread them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    Node,
    OperationDefinitionNode,
    parse,
)

_SUFFIXES = {".graphql", ".gql"}


def read_folder(folder: Path) -> list[str]:
    """Read the documents of all files in a folder and its folders, in the order of their names.

    Raises:
        ValueError: a file is no document.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES)
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    parsed = {path: _parse(path, text) for path, text in texts.items()}
    shared = {
        node.name.value: node
        for ast in parsed.values()
        if not _has_operation(ast)
        for node in ast.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    return [
        _join(texts[path], list(_find_missing(ast, shared)))
        for path, ast in parsed.items()
        if _has_operation(ast)
    ]


def _join(text: str, fragments: list[str]) -> str:
    return "\n\n".join([text.rstrip(), *fragments]) + "\n" if fragments else text


def _parse(path: Path, text: str) -> DocumentNode:
    try:
        return parse(text)
    except (GraphQLError, RecursionError) as error:
        raise ValueError(f"{path.name}: {str(error).splitlines()[0]}") from None


def _has_operation(ast: DocumentNode) -> bool:
    return any(isinstance(node, OperationDefinitionNode) for node in ast.definitions)


def _find_missing(ast: DocumentNode, shared: dict[str, FragmentDefinitionNode]) -> Iterator[str]:
    """Yield the texts of the shared fragments that a document spreads and does not define."""
    known = {
        node.name.value for node in ast.definitions if isinstance(node, FragmentDefinitionNode)
    }
    waiting: list[Node] = [ast]
    while waiting:
        for name in _spreads(waiting.pop()):
            if name not in known and name in shared:
                known.add(name)
                waiting.append(shared[name])
                place = shared[name].loc
                assert place is not None
                yield place.source.body[place.start : place.end]


def _spreads(node: Node) -> Iterator[str]:
    stack: list[Node] = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, FragmentSpreadNode):
            yield current.name.value
        for key in current.keys:
            value = getattr(current, key, None)
            stack.extend(
                value
                if isinstance(value, list | tuple)
                else [value]
                if isinstance(value, Node)
                else []
            )
