"""The tests keep their own habits."""

from __future__ import annotations

import ast

from tests.house.house import ROOMS, ROOT, imports, sources


def test_no_test_replaces_our_own_code() -> None:
    # given every test, when it is searched for tools that swap code under test
    mocking = [
        f"{file}:{node.lineno}"
        for file, tree in sources("tests").items()
        for node in ast.walk(tree)
        if _swaps(node)
    ]
    # then there is none: what is outside is played by small local servers
    assert mocking == []


def test_every_test_folder_is_a_package() -> None:
    # given folders with tests: without __init__.py, tests/graph would hide the real graph
    folders = {(ROOT / file).parent for file in sources("tests")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []


def test_the_test_folders_mirror_the_floors() -> None:
    folders = {file.split("/")[1] for file in sources("tests") if file.count("/") > 1}
    others = {"walks", "house", "chaos", "bench", "attacks", "browser", "clients", "edge"} | {
        "privacy",
        "support",
    }
    assert folders - others <= set(ROOMS)


def test_the_house_imports_no_test() -> None:
    found = [
        file
        for file, tree in sources(*ROOMS, "bench").items()
        if any(module in ("tests", "pytest") for module, _ in imports(tree))
    ]
    assert found == []


def _swaps(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        return node.module in ("unittest.mock", "mock", "pytest_mock") or (
            node.module == "unittest" and "mock" in names
        )
    if isinstance(node, ast.Import):
        return any(alias.name in ("unittest.mock", "mock", "pytest_mock") for alias in node.names)
    return isinstance(node, ast.Attribute) and node.attr == "setattr" and _is_monkeypatch(node)


def _is_monkeypatch(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "monkeypatch"
