"""Reads MovieLens files line by line: a broken line is skipped and noted with its number.

Memory is bounded by one entry per film, however many ratings there are; the event loop runs between
blocks of lines.
"""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from resolvers.catalog.imports import genres
from resolvers.catalog.imports.report import ImportProgress, Problems
from resolvers.catalog.imports.titles import ParsedTitle, parse
from services.errors import StartupError

_BLOCK = 20_000  # lines between two turns of the loop
_LONGEST_LINE = 10_000  # bytes
_LONGEST_TITLE = 500
_LARGEST_ID = 2**31 - 1
_NO_VALUES = frozenset((b"", b"0", b"\\n", b"n/a", b"na", b"nan", b"none", b"null"))
_WHOLE = re.compile(rb"(\d{1,11})(?:\.0*)?")  # spreadsheets write 862 as 862.0


@dataclass(frozen=True, slots=True)
class Row:
    title: ParsedTitle
    genres: dict[str, str]  # names by slug, in the order listed


@dataclass(frozen=True, slots=True)
class Link:
    imdb_id: str | None = None
    tmdb_id: int | None = None


@dataclass(slots=True)
class RatingSum:
    """Ratings of one film: stars from 0.5 to 5."""

    count: int = 0
    stars: float = 0.0

    @property
    def mean(self) -> float:
        """Mean rating on a scale of 0-10."""
        return round(2 * self.stars / self.count, 2)


class _BrokenLine(ValueError):
    """The reason why one line is broken."""


async def read_movies(folder: Path, progress: ImportProgress, broken: Problems) -> dict[int, Row]:
    """Read movies.csv by movieId.

    Raises:
        StartupError: there is no such file, or its first line is another one.
    """
    file = folder / "movies.csv"
    if _size_bytes(file) is None:
        raise StartupError(f"{file} is missing: name the folder of a MovieLens data set.")
    rows: dict[int, Row] = {}

    def take(line: bytes) -> None:
        number, title, kinds = _cells(line, 3)
        movie = _movie_number(number)
        if movie in rows:
            raise _BrokenLine(f"movieId {movie} stands there twice")
        rows[movie] = Row(_title(title), _genres(kinds))

    await _each_line(file, "movieId,title,genres", take, progress, broken)
    return rows


async def read_links(
    folder: Path, movies: Container[int], progress: ImportProgress, broken: Problems
) -> dict[int, Link]:
    """Read links.csv: external ids by movieId."""
    links: dict[int, Link] = {}

    def take(line: bytes) -> None:
        number, imdb, tmdb = _cells(line, 3)
        movie = _require_movie(_movie_number(number), movies)
        if movie in links:
            raise _BrokenLine(f"movieId {movie} stands there twice")
        reasons: list[str] = []
        imdb_number = _optional_number("imdbId", imdb.strip(), reasons)
        imdb_id = f"tt{imdb_number:07}" if imdb_number else None
        links[movie] = Link(imdb_id, _optional_number("tmdbId", tmdb.strip(), reasons))
        if reasons:  # noted, but a good id beside it stays
            raise _BrokenLine(", ".join(reasons))

    await _each_line(folder / "links.csv", "movieId,imdbId,tmdbId", take, progress, broken)
    return links


async def read_ratings(
    folder: Path, movies: Container[int], progress: ImportProgress, broken: Problems
) -> dict[int, RatingSum]:
    """Read ratings.csv: sums of ratings by movieId."""
    rating_sums: dict[int, RatingSum] = {}

    def take(line: bytes) -> None:
        cells = line.split(b",")  # numbers only: no need of a CSV parser
        if len(cells) != 4:
            raise _BrokenLine(f"{len(cells)} columns instead of 4")
        movie = _require_movie(_movie_number(cells[1]), movies)
        stars = _stars(cells[2])
        rating_sum = rating_sums.get(movie)
        if rating_sum is None:
            rating_sum = rating_sums[movie] = RatingSum()
        rating_sum.count += 1
        rating_sum.stars += stars

    header = "userId,movieId,rating,timestamp"
    await _each_line(folder / "ratings.csv", header, take, progress, broken)
    return rating_sums


async def _each_line(
    file: Path,
    header: str,
    take: Callable[[bytes], None],
    progress: ImportProgress,
    broken: Problems,
) -> None:
    """Call `take` with every line; progress is in bytes. Without the file there are none."""
    total = _size_bytes(file)
    if total is None:
        return
    number, done = 1, 0
    progress(file.name, 0, total)
    for block in _blocks(file, header):
        for line in block:
            number += 1
            done += len(line)
            try:
                _take_line(line, take)
            except _BrokenLine as reason:
                broken.note(f"{file.name}:{number}: {reason}")
        progress(file.name, min(done, total), total)
        await asyncio.sleep(0)
    progress(file.name, total, total)


def _size_bytes(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _take_line(line: bytes, take: Callable[[bytes], None]) -> None:
    if len(line) > _LONGEST_LINE:
        raise _BrokenLine(f"longer than {_LONGEST_LINE} bytes")
    if text := line.strip():
        take(text)


def _blocks(file: Path, header: str) -> Iterator[list[bytes]]:
    with file.open("rb") as lines:
        first = lines.readline(_LONGEST_LINE).decode("utf-8-sig", "replace").strip()
        if first != header:
            raise StartupError(f"{file}: the first line is not {header}.")
        while block := list(islice(lines, _BLOCK)):
            yield block


def _cells(line: bytes, count: int) -> list[str]:
    """One line as CSV: a stray quote cannot swallow the lines behind it."""
    try:
        cells = next(csv.reader([line.decode()], strict=True))
    except UnicodeDecodeError:
        raise _BrokenLine("not UTF-8") from None
    except (csv.Error, StopIteration) as error:
        raise _BrokenLine(f"not CSV ({error})") from None
    if len(cells) != count:
        raise _BrokenLine(f"{len(cells)} columns instead of {count}")
    return cells


def _movie_number(text: str | bytes) -> int:
    number = _whole_number(text)
    if not 0 < number <= _LARGEST_ID:
        raise _BrokenLine(f"movieId is {_shorten(text)}")
    return number


def _optional_number(name: str, text: str, reasons: list[str]) -> int | None:
    """The number, or None without one; a reason is noted if it is none."""
    if text.encode().lower() in _NO_VALUES:
        return None
    number = _whole_number(text)
    if 0 < number <= _LARGEST_ID:
        return number
    reasons.append(f"{name} is {_shorten(text)}")
    return None


def _whole_number(text: str | bytes) -> int:
    """0 for all that is not a number of ASCII digits: int() also takes "1_0" and "+1"."""
    match = _WHOLE.fullmatch(text if isinstance(text, bytes) else text.encode())
    return int(match[1]) if match else 0


def _require_movie(movie: int, movies: Container[int]) -> int:
    if movie not in movies:
        raise _BrokenLine(f"movieId {movie} is not in movies.csv")
    return movie


def _stars(text: bytes) -> float:
    try:
        stars = float(text)
    except ValueError:
        stars = 0.0
    if not 0.5 <= stars <= 5:  # also refuses NaN
        raise _BrokenLine(f"rating is {_shorten(text)}")
    return stars


def _title(text: str) -> ParsedTitle:
    if not text.strip() or len(text) > _LONGEST_TITLE:
        raise _BrokenLine("the title is empty" if not text.strip() else "the title is too long")
    return parse(text)


def _genres(text: str) -> dict[str, str]:
    """Names by slug in the order listed, each once."""
    names: dict[str, str] = {}
    for name in text.split("|"):
        if slug := genres.slug_of(name):
            names.setdefault(slug, name)
    return names


def _shorten(text: str | bytes) -> str:
    return repr(text.decode("utf-8", "replace") if isinstance(text, bytes) else text)[:60]
