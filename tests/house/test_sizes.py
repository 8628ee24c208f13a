"""Small files, small functions, each module introduced."""

from __future__ import annotations

import ast
from statistics import median

from tests.house.house import ROOMS, ROOT, functions, sources


def test_no_source_file_is_longer_than_400_lines() -> None:
    lengths = {file: _lines(file) for file in sources(*ROOMS, "bench")}
    assert {file: lines for file, lines in lengths.items() if lines > 400} == {}


def test_half_of_the_files_have_at_most_100_lines() -> None:
    assert median(_lines(file) for file in sources(*ROOMS)) <= 100


def test_no_function_is_longer_than_40_lines() -> None:
    found = [
        f"{file}:{function.lineno} {function.name}: {_length(function)} lines"
        for file, tree in sources(*ROOMS, "bench").items()
        for function in functions(tree)
        if _length(function) > 40
    ]
    assert found == []


def test_half_of_the_functions_have_at_most_8_lines() -> None:
    trees = sources(*ROOMS).values()
    assert median(_length(function) for tree in trees for function in functions(tree)) <= 8


def test_every_module_says_what_it_does() -> None:
    missing = [file for file, tree in sources(*ROOMS).items() if not ast.get_docstring(tree)]
    assert missing == []


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def _lines(file: str) -> int:
    return len((ROOT / file).read_text(encoding="utf-8").splitlines())
