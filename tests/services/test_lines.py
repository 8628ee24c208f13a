"""Names show something, and mislead by nothing."""

from __future__ import annotations

import pytest

from services import lines


@pytest.mark.parametrize(
    "text",
    ["Ada", "東京物語", "عُمَر", "می‌خواهم", "👩‍👩‍👧", "é", "🇫🇷", "a\u00adb", "क्षि", "?", "O'Neil"],
)
def test_names_of_all_scripts_are_fit(text: str) -> None:
    assert lines.is_fit(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\u200b",
        "\u200b\u200d\u2060",
        "\ufeff",
        "\u3164",
        "\u115f\u1160",
        "\u2800\u2800",
        "\u0301",
        "\U000e0041",
        "Ada\u202egnp.exe",
        "\u202aAda\u202c",
        "Ada\u2066x\u2069",
        "A\u0000da",
        "A\nda",
        "A\u0085da",
        "A\u2028da",
        "A\u001b[31mda",
        "A\ud800",
    ],
    ids=ascii,
)
def test_what_shows_nothing_or_misleads_is_not_fit(text: str) -> None:
    assert not lines.is_fit(text)


def test_descriptions_may_have_lines() -> None:
    assert lines.is_fit("One.\r\n\tTwo.", breaks=True)
    assert not lines.is_fit("\n\t", breaks=True)
    assert not lines.is_fit("One.\u0000", breaks=True)


@pytest.mark.parametrize(
    "text",
    ["  Ada\t", "\u3000Ada\u00a0", "\u200b Ada \u200b", "\ufeffAda\u2060\n", "Ada"],
    ids=ascii,
)
def test_outer_blanks_are_cut(text: str) -> None:
    assert lines.trim(text) == "Ada"
