"""Floors, staircases, one library in one room."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import metadata

import pytest
from importlinter.cli import lint_imports

from tests.house.house import ROOMS, ROOT, functions, imports, is_third_party, sources


def test_the_import_contracts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    # given import-linter, which looks for packages from where it is started
    monkeypatch.syspath_prepend(str(ROOT))
    # when it checks the contracts of pyproject.toml, then none is broken
    assert lint_imports(str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_every_room_is_under_the_contracts() -> None:
    # given the folders that hold an application package
    packages = {file.parent.name for file in ROOT.glob("*/__init__.py")}
    # then each is a room, the tests, or the benchmark
    assert packages - {"tests", "bench"} == set(ROOMS)


def test_nothing_is_imported_inside_a_function() -> None:
    # given every function of the house, when imports are looked for inside
    found = [
        f"{file}:{line} imports {module}"
        for file, tree in sources(*ROOMS).items()
        for function in functions(tree)
        for module, line in imports(function)
    ]
    # then there is none
    assert found == []


def test_resolvers_and_workers_import_no_library() -> None:
    found = [
        f"{file}:{line} imports {module}"
        for file, tree in sources("resolvers", "workers").items()
        for module, line in imports(tree)
        if is_third_party(module)
    ]
    assert found == []


def test_every_imported_library_is_a_declared_dependency() -> None:
    # given the distributions that pyproject.toml names, extras among them: redis[hiredis]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = " ".join(re.split(r"[<>=!~;]", line)[0] for line in project["dependencies"])
    declared = {_normal(each) for each in re.findall(r"[\w.-]+", named)}
    # when every import of the house is traced to its distribution
    owners = metadata.packages_distributions()
    undeclared = {
        module: file
        for file, tree in sources(*ROOMS).items()
        for module, _ in imports(tree)
        if is_third_party(module)
        and not declared & {_normal(each) for each in owners.get(module, [])}
    }
    # then none came along by chance
    assert undeclared == {}


def test_only_the_settings_read_the_environment() -> None:
    found = [
        f"{file}:{node.lineno}"
        for file, tree in sources(*ROOMS).items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    ]
    assert found == []


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
