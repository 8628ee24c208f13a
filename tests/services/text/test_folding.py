"""Folding and words: what people type and what is stored become the same."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.text.articles import without_article
from services.text.edit_distance import deletions, edit_distance, tolerated_edits
from services.text.folding import fold
from services.text.words import join_words, split_words, to_arabic


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Straße", "STRASSE"),
        ("İstanbul", "istanbul"),
        ("ISTANBUL", "ıstanbul"),
        ("Łódź", "lodz"),
        ("Ærø", "aero"),
        ("Đorđe", "dorde"),
        ("Ħamrun", "hamrun"),
        ("Ŧ", "t"),
        ("Œuvre", "oeuvre"),
        ("Þór", "thor"),
        ("Amélie", "AMELIE"),
        ("Ame\u0301lie", "Amélie"),
        ("Ёлки", "елки"),
        ("ΟΔΥΣΣΕΎΣ", "οδυσσευς"),
        ("Ｗ３", "w3"),
        ("ﬁlm", "film"),
        ("Alien³", "alien3"),
        ("ｶﾞﾝﾀﾞﾑ", "ガンダム"),
    ],
)
def test_variants_of_letters_are_folded_to_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_vowels_and_voices_that_are_marks_stay() -> None:
    assert fold("が") != fold("か")
    assert fold("กี่") != fold("กา")
    assert fold("हिन्दी") != fold("हन्द")


@given(st.text())
def test_folding_again_changes_nothing(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    assert split_words(" ".join(split_words(text))) or not split_words(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("東京物語", ["東京", "京物", "物語"]),
        ("千と千尋", ["千と", "と千", "千尋"]),
        ("東", ["東"]),
        ("Godzilla対Hedorah 2", ["godzilla", "対", "hedorah", "2"]),
        ("한국 영화", ["한국", "영화"]),
        ("हिन्दी फ़िल्म", [fold("हिन्दी"), fold("फ़िल्म")]),
        ("E.T. the Extra-Terrestrial", ["et", "the", "extra", "terrestrial"]),
        ("S.W.A.T.", ["swat"]),
        ("M*A*S*H", ["mash"]),
        ("WALL·E", ["wall", "e"]),
        ("Don’t", ["don", "t"]),
        ("Fast & Furious", ["fast", "and", "furious"]),
        ("Romeo + Juliet", ["romeo", "and", "juliet"]),
        ("8½", ["8", "1", "2"]),
        ("$", ["$"]),
        ("♥", ["♥"]),
        ('"-"', []),
        ("...", []),
    ],
)
def test_texts_are_split_into_the_words_one_types(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@given(st.text(alphabet="東京物語ガンダムabc12", min_size=1))
def test_words_of_a_text_without_blanks_join_to_it(text: str) -> None:
    assert join_words(split_words(text)) == fold(text)


@pytest.mark.parametrize(
    ("word", "number"),
    [("ii", "2"), ("iv", "4"), ("x", "10"), ("xxxix", "39"), ("xl", "xl"), ("iiii", "iiii")],
)
def test_roman_numerals_are_read(word: str, number: str) -> None:
    assert to_arabic(word) == number


def test_an_article_of_another_language_is_a_word() -> None:
    assert without_article("The Matrix").strip() == "Matrix"
    assert without_article("Die Hard") == "Die Hard"
    assert without_article("L\u2019Avventura", ["it"]) == "Avventura"
    assert without_article("The") == "The"


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("gladiatr", "gladiator", 1),
        ("galdiator", "gladiator", 1),
        ("chaplim", "chaplin", 1),
        ("gladxatxr", "gladiator", 2),
        ("kitten", "sitting", 3),
        ("a", "abcdef", 3),
        ("", "ab", 2),
    ],
)
def test_edits_are_counted_up_to_a_limit(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other, 2) == edit_distance(other, one, 2) == distance


@given(st.text("abcde", min_size=3, max_size=12), st.data())
def test_words_with_one_letter_wrong_share_a_deletion(word: str, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(word) - 1))
    letter = draw.draw(st.sampled_from(["", "x", word[at] + "y"]))
    wrong = word[:at] + letter + word[at + 1 :]
    if tolerated_edits(wrong):
        assert deletions(word) & deletions(wrong)
    assert edit_distance(word, wrong, 1) <= 1


@given(st.text())
def test_folded_text_is_composed_and_lower(text: str) -> None:
    folded = fold(text)
    assert folded == unicodedata.normalize("NFC", folded)
    assert folded == folded.casefold()
