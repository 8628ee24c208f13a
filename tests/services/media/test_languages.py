"""Languages of tracks: codes of containers, tags of people, and names of them."""

from __future__ import annotations

import pytest

from services.media.languages import canonical_tag, tag_of_code, unique_names


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("EN", "en"),
        ("pt-br", "pt-BR"),
        ("ZH-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("ger", "de"),
        ("deu-at", "de-AT"),
        ("gsw", "gsw"),
        ("../en", None),
        ("e", None),
        ("", None),
        ("en-", None),
    ],
)
def test_tags_have_one_case_and_the_shortest_code(text: str, tag: str | None) -> None:
    assert canonical_tag(text) == tag


@pytest.mark.parametrize(
    ("code", "tag"),
    [
        ("eng", "en"),
        ("ger", "de"),
        ("deu", "de"),
        ("fre", "fr"),
        ("zho", "zh"),
        ("pt-BR", "pt-BR"),
        ("und", "und"),
        ("mul", "und"),
        ("", "und"),
        (None, "und"),
        ("\x00??", "und"),
    ],
)
def test_codes_of_containers_become_tags(code: str | None, tag: str) -> None:
    assert tag_of_code(code) == tag


def test_names_are_never_alike() -> None:
    tags = ["pt-BR", "pt-PT", "de", "und", "und", "gsw"]
    assert unique_names(tags, "Audio") == [
        "Português (BR)",
        "Português (PT)",
        "Deutsch",
        "Audio 4",
        "Audio 5",
        "gsw",
    ]
    assert unique_names(["pt-BR"], "Audio") == ["Português"]
    assert unique_names(["pt", "pt-BR"], "Audio") == ["Português", "Português (BR)"]
