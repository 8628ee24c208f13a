"""Edit distance and the candidates it is computed for.

Two words within n edits of each other share a string after at most n deletions from each
(Garbe's symmetric deletion), so stored deletions find them without comparing with every word.
"""

from __future__ import annotations

from itertools import combinations

_HEAD = 7  # letters that are deleted from: of longer words the beginning decides
_LONG = 6  # letters from which two may be wrong


def tolerated_edits(word: str) -> int:
    """How many letters of a word may be wrong: none of a number or of two letters, at most two."""
    if len(word) < 3 or word.isdigit():
        return 0
    return 1 if len(word) < _LONG else 2


def deletions(word: str, most: int | None = None) -> set[str]:
    """The word's beginning, and what is left of it after `most` deletions (None: all tolerated)."""
    head = word[:_HEAD]
    most = tolerated_edits(word) if most is None else most
    return {
        "".join(head[at] for at in range(len(head)) if at not in gone)
        for count in range(most + 1)
        for gone in map(frozenset, combinations(range(len(head)), count))
    }


def edit_distance(one: str, other: str, most: int) -> int:
    """Insertions, deletions, replacements and swaps of neighbours; `most + 1` if there are more.

    Source: optimal string alignment (Damerau, CACM 7(3), 1964), with an early end.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    if one == other:
        return 0
    start = _shared_length(one, other)
    end = _shared_length(one[start:][::-1], other[start:][::-1])
    return _align(one[start : len(one) - end], other[start : len(other) - end], most)


def _shared_length(one: str, other: str) -> int:
    """Letters that both begin with."""
    at = 0
    for letter, sign in zip(one, other, strict=False):
        if letter != sign:
            break
        at += 1
    return at


def _align(one: str, other: str, most: int) -> int:
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        before, above, row = row, before, [at, *[0] * len(other)]
        _fill_row(row, before, above, one[at - 2 : at], other, letter)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def _fill_row(
    row: list[int], before: list[int], above: list[int], pair: str, other: str, letter: str
) -> None:
    for at, sign in enumerate(other, 1):
        cost = min(before[at] + 1, row[at - 1] + 1, before[at - 1] + (letter != sign))
        if above and at > 1 and pair == sign + other[at - 2]:
            cost = min(cost, above[at - 2] + 1)
        row[at] = cost
