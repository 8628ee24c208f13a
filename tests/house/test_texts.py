"""What is written for people: short, true to the tree, and the same on every machine."""

from __future__ import annotations

import re

from tests.house.house import ROOT, texts

_PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/design.md",
    "docs/operations.md",
    "docs/api.md",
    "docs/performance.md",
)
_ABSOLUTE = re.compile(r"(?<![\w.~-])/(?:home|root|tmp|work|usr|var|opt|mnt|srv|Users)/")
_REGISTRY = re.compile(
    r"pypi\.org|pythonhosted|npmjs|(?:--)?(?:extra-)?index-url|registry\.\w|ghcr\.io"
)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)")


def test_the_pages_are_there() -> None:
    assert [page for page in _PAGES if page not in texts()] == []


def test_the_readme_has_at_most_150_lines() -> None:
    assert len(texts()["README.md"].splitlines()) <= 150


def test_no_page_names_a_place_of_one_machine() -> None:
    found = {page: _ABSOLUTE.findall(text) for page, text in texts().items()}
    assert {page: places for page, places in found.items() if places} == {}


def test_no_page_names_a_registry() -> None:
    found = {page: _REGISTRY.findall(text) for page, text in texts().items()}
    assert {page: places for page, places in found.items() if places} == {}


def test_links_inside_the_repository_lead_somewhere() -> None:
    broken = [
        f"{page} -> {target}"
        for page, text in texts().items()
        for target in _LINK.findall(text)
        if not ((ROOT / page).parent / target).exists()
    ]
    assert broken == []


def test_every_make_target_that_a_page_names_exists() -> None:
    # given the Makefile's targets
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    # when the pages name one in code, then it is there
    named = {name for text in texts().values() for name in re.findall(r"`make ([a-z]+)", text)}
    assert named - targets == set()
