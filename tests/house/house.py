"""The house as files: what its tests read."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("graph", "loaders", "models", "resolvers", "server", "services", "workers")
_NOT_OURS = {"node_modules", "dist"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> dict[str, ast.Module]:
    """Every Python file of these folders, by its path from the root."""
    return {file: tree for folder in folders for file, tree in _parsed(folder).items()}


@cache
def _parsed(folder: str) -> dict[str, ast.Module]:
    files = _files(ROOT / folder, "*.py")
    return {name(file): ast.parse(file.read_text(encoding="utf-8")) for file in files}


@cache
def texts() -> dict[str, str]:
    """Every page of documentation, by its path from the root."""
    return {name(file): file.read_text(encoding="utf-8") for file in _files(ROOT, "*.md")}


def name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The first word of every imported module, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0], node.lineno


def is_third_party(module: str) -> bool:
    return module not in sys.stdlib_module_names and module not in ROOMS


def _files(folder: Path, pattern: str) -> list[Path]:
    """Without what tools put there: hidden folders, installed packages."""
    here = [file for file in folder.glob(pattern) if file.is_file()]
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.name.startswith(".") and inner.name not in _NOT_OURS:
            here += _files(inner, pattern)
    return here
