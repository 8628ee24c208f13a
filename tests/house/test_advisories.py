"""No pinned package is older than the fix of an advisory that is known of it.

The list is kept by hand (advisories.toml): a real audit asks a feed, see docs/operations.md.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

from packaging.version import Version

from tests.house.house import ROOT, texts

KNOWN: dict[str, Any] = tomllib.loads((ROOT / "tests/house/advisories.toml").read_text())


def pinned() -> dict[str, list[Version]]:
    """A package has several where they differ by Python's version."""
    found: dict[str, list[Version]] = {}
    lock = (ROOT / "requirements.lock").read_text()
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.MULTILINE):
        found.setdefault(_normal(name), []).append(Version(version))
    return found


def test_no_pin_is_older_than_a_known_fix() -> None:
    # given the pinned versions, and the first version with each fix
    pins = pinned()
    behind = [
        f"{known['package']} {version}: {', '.join(known['ids'])} is fixed in {known['fixed_in']}"
        for known in KNOWN["advisory"]
        for version in pins[known["package"]]
        if version < Version(known["fixed_in"])
    ]
    # then each has it
    assert behind == []


def test_what_is_open_is_pinned_and_explained_to_operators() -> None:
    page = texts()["docs/operations.md"]
    for known in KNOWN["open"]:
        assert known["package"] in pinned()
        assert [one for one in (known["package"], *known["ids"]) if one not in page] == []


def test_what_had_better_not_be_installed_is_not() -> None:
    assert [name for name in KNOWN["absent"]["packages"] if name in pinned()] == []


def test_every_library_of_the_product_was_looked_up() -> None:
    # given the libraries that pyproject.toml names
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {
        _normal(found.group())
        for line in project["dependencies"]
        if (found := re.match(r"[\w.-]+", line))
    }
    # then each has an advisory on the list, or none was found
    known = {each["package"] for each in KNOWN["advisory"]} | set(KNOWN["none_found"]["packages"])
    assert named - known == set()
    assert named <= pinned().keys()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
