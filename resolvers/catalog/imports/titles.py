"""Film titles in catalogue notation: "City of Lost Children, The (Cité ..., La) (1995)".

The year is removed from the parentheses at the end, articles are moved to the front, the first name
in parentheses is the original title, further ones and "(a.k.a. ...)" are other titles. Pure
functions of text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.text.articles import ARTICLES, without_article
from services.text.folding import fold

_ANY = sorted({article for group in ARTICLES.values() for article in group}, key=len, reverse=True)
_MOVED = re.compile(rf"(?P<head>.*\S)\s*,\s*(?P<article>{'|'.join(_ANY)})", re.IGNORECASE)
_YEAR = re.compile(r"(\d{4})(?:\s*[-–/]\s*(?:\d{4})?)?", re.ASCII)  # 1999, 1975-1979, 2007–
_FIRST_YEAR, _LAST_YEAR = 1870, 2100
_YEARS_APART = 2  # of one film in two countries
# "Aka" with a capital and without dots begins names ("Aka to shiro").
_ALSO_KNOWN_AS = re.compile(r"(?:^|[\s,;]+)(?:[aA]\.\s?[kK]\.\s?[aA]\b\.?|aka\b|AKA\b)[:\s]*")
_NOT_A_NAME = re.compile(
    r"(?:part|vol|volume|chapter|episode|extended|director|tv|remix|uncut)\b|no\.|[\W\d_]*$",
    re.IGNORECASE,
)
_GOES_ON = re.compile(r"(?::|&|\b(?:or|and|of))$", re.IGNORECASE)  # "Birdman: Or (...)"


@dataclass(frozen=True, slots=True)
class ParsedTitle:
    title: str
    sort_title: str
    year: int | None = None
    original_title: str | None = None
    also_known_as: tuple[str, ...] = ()


def parse(text: str) -> ParsedTitle:
    """Parse a title; what is no year, article or other name stays in the title."""
    name, groups = _split_groups(" ".join(text.split()))
    year = next((year for group in reversed(groups) if (year := _year_of(group))), None)
    others = [group for group in groups if not _repeats_year(group, year)]
    while any(map(_NOT_A_NAME.match, others)):
        name = f"{name} ({others.pop(0)})"
    title = article_first(name)
    originals, also = _names_of(others)
    names = [one for one in dict.fromkeys((*originals, *also)) if one != title]
    original = next((one for one in originals if one != title), None)
    rest = tuple(one for one in names if one != original)
    return ParsedTitle(title, _sort_title_of(name), year, original, rest)


def article_first(name: str) -> str:
    """Move an article to the front: "Avventura, L'" becomes "L'Avventura"."""
    match = _MOVED.fullmatch(name)
    if match is None:
        return name
    article = match["article"][0].upper() + match["article"][1:]
    return f"{article}{'' if article.endswith(chr(39)) else ' '}{match['head']}"


def sort_title(title: str, languages: Sequence[str] = ()) -> str:
    """Sort key: no leading article of English or `languages`, no accents, no case."""
    return _fold(without_article(title, languages))


def _sort_title_of(name: str) -> str:
    match = _MOVED.fullmatch(name)
    return _fold(match["head"]) if match else sort_title(name)


def _fold(text: str) -> str:
    """Fold accents, case and leading signs; a title of signs only keeps them."""
    plain = fold(text)
    start = next((at for at, sign in enumerate(plain) if sign.isalnum()), 0)
    return " ".join(plain[start:].split()) or text.casefold()


def _split_groups(text: str) -> tuple[str, list[str]]:
    """The name, and what follows it in parentheses, in order.

    Parentheses that a letter touches are the name's: "Assassin(s)"; so is what a name that goes on
    needs: "Birdman: Or (...)".
    """
    groups: list[str] = []
    while (start := _last_group(text)) is not None:
        name, inside = text[:start].rstrip(), text[start + 1 : -1].strip()
        is_year = _year_of(inside) is not None
        touches = text[:start] == name and name[-1:].isalnum()
        if not name or (not is_year and (touches or _GOES_ON.search(name))):
            break
        groups.insert(0, inside)
        text = name
    return text, groups


def _year_of(group: str) -> int | None:
    match = _YEAR.fullmatch(group)
    year = int(match[1]) if match else 0
    return year if _FIRST_YEAR <= year <= _LAST_YEAR else None


def _repeats_year(group: str, year: int | None) -> bool:
    """Whether a group is the film's year, or one that another country counts."""
    own = _year_of(group)
    return own is not None and year is not None and abs(own - year) <= _YEARS_APART


def _names_of(groups: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names in parentheses: original titles, and those after "a.k.a."."""
    originals: list[str] = []
    also: list[str] = []
    for group in groups:
        first, *others = _ALSO_KNOWN_AS.split(group)
        originals += [article_first(first.strip())] if first.strip() else []
        also += [article_first(one.strip()) for one in others if one.strip()]
    return originals, also


def _last_group(text: str) -> int | None:
    """Position at which the parenthesis that ends the text opens."""
    if not text.endswith(")"):
        return None
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] == ")") - (text[at] == "(")
        if depth == 0:
            return at
    return None
