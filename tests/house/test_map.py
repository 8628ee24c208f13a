"""The drawings of the house in README and docs/design.md are true to the folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.house import ROOMS, ROOT, texts

_MOST_FILES = 20  # beyond it a folder is a hall, and its subjects want folders of their own


@pytest.mark.parametrize("page", ["README.md", "docs/design.md"])
def test_the_map_names_every_folder_of_every_floor(page: str) -> None:
    # given the rows of the page's map
    rows = re.findall(r"^ *\| `(\w+)/` \|[^|]*\|([^|]*)\|$", texts()[page], re.MULTILINE)
    drawn = {floor: set(re.findall(r"\w+", inside)) for floor, inside in rows if floor in ROOMS}
    # then it names the floors and their folders as they stand
    assert drawn == {floor: _folders(ROOT / floor) for floor in ROOMS}


def test_the_readme_names_every_folder_at_the_top() -> None:
    # given the first column of README's map, and the folders that hold something of ours
    rows = set(re.findall(r"^\| `(\w+)/` \|", texts()["README.md"], re.MULTILINE))
    # then both are the same
    assert rows == _folders(ROOT)


def test_no_folder_is_a_hall() -> None:
    counts = {
        folder.relative_to(ROOT).as_posix(): len(list(folder.glob("*.py")))
        for floor in ROOMS
        for folder in [ROOT / floor, *(ROOT / floor).rglob("*")]
        if folder.is_dir()
    }
    assert {folder: files for folder, files in counts.items() if files > _MOST_FILES} == {}


def _folders(folder: Path) -> set[str]:
    hidden = (".", "_")
    inner = [each for each in folder.iterdir() if each.is_dir() and each.name[0] not in hidden]
    return {each.name for each in inner if any(each.rglob("*.*")) and each.name != "lua"}
