"""Our own library on disk: what is found, and what never is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.media.library import MediaLibrary
from services.media.manifest import INDEX, Media, Piece
from tests.support.films_on_disk import (
    content,
    film,
    rendition,
    segment,
    store,
    subtitles,
    write_index,
)

FILM = "movie_00001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "media"


@pytest.fixture
def library(folder: Path) -> Iterator[MediaLibrary]:
    library = MediaLibrary(folder)
    yield library
    library.close()


async def read(library: MediaLibrary, path: str, title_id: str = FILM) -> bytes | None:
    title = await library.title(title_id)
    assert title is not None
    opened = await library.open(title, path)
    if opened is None:
        return None
    with opened.file:
        return await library.read(opened, 0, opened.size_bytes)


async def test_an_empty_library_has_nothing(library: MediaLibrary) -> None:
    assert await library.title(FILM) is None
    assert not await library.has_title(FILM)
    assert await library.titles([]) == {}


async def test_a_title_is_read_as_it_was_written(library: MediaLibrary, folder: Path) -> None:
    store(folder, FILM, film())
    titles = await library.titles([FILM, "movie_00002"])
    assert list(titles) == [FILM]
    assert titles[FILM].media == film()
    assert await library.has_title(FILM)


async def test_every_file_of_the_index_opens_and_none_else(
    library: MediaLibrary, folder: Path
) -> None:
    home = store(folder, FILM, film())
    (home / "360p" / "secret.m4s").write_bytes(b"not in the index")
    title = await library.title(FILM)
    assert title is not None
    assert sorted(title.files) == [
        *(f"{name}/{file}" for name in ("360p", "720p") for file in ("init.mp4", *SEGMENTS)),
        "subtitles/de.vtt",
        "subtitles/en.vtt",
    ]
    assert await read(library, "360p/seg00001.m4s") == content("360p/seg00001.m4s", 3000)
    for path in ("360p/secret.m4s", "360p", "360p/", "", INDEX, "360p/index.m3u8"):
        assert await read(library, path) is None


SEGMENTS = ("seg00000.m4s", "seg00001.m4s", "seg00002.m4s")
ESCAPES = [
    "../movie_00002/360p/init.mp4",
    "360p/../../movie_00002/360p/init.mp4",
    "360p/./init.mp4",
    "360p//init.mp4",
    "/etc/passwd",
    "360p/init.mp4\0",
    "360p\\init.mp4",
    "..",
    ".",
    "360p/" + "a" * 10_000,
    "３60p/init.mp4",
    "360P/INIT.MP4",
    "\ud800",
]


@pytest.mark.parametrize("path", ESCAPES)
async def test_no_path_leads_out_of_the_folder(
    library: MediaLibrary, folder: Path, path: str
) -> None:
    store(folder, FILM, film())
    store(folder, "movie_00002", film())
    assert await read(library, path) is None


@pytest.mark.parametrize(
    "title_id",
    ["..", ".", "", "../media/movie_00001", "/etc", "a/b", "movie_00001\0", "é", "x" * 999],
)
async def test_no_id_leads_out_of_the_library(
    library: MediaLibrary, folder: Path, title_id: str
) -> None:
    store(folder, FILM, film())
    write_index(folder, film())
    write_index(folder.parent, film())
    assert await library.title(title_id) is None


async def test_links_that_lead_out_are_not_followed(
    library: MediaLibrary, folder: Path, tmp_path: Path
) -> None:
    home = store(folder, FILM, film())
    (tmp_path / "outside.m4s").write_bytes(b"outside")
    first, second, third = (home / "360p" / name for name in SEGMENTS)
    for file in (first, second, third):
        file.unlink()
    first.symlink_to(tmp_path / "outside.m4s")
    second.symlink_to("init.mp4")  # inside: an operator's own business
    third.symlink_to("nowhere")
    assert await read(library, "360p/seg00000.m4s") is None
    assert await read(library, "360p/seg00001.m4s") == content("360p/init.mp4", 700)
    assert await read(library, "360p/seg00002.m4s") is None


async def test_a_linked_folder_inside_the_title_is_not_followed(
    library: MediaLibrary, folder: Path, tmp_path: Path
) -> None:
    home = store(folder, FILM, film())
    (home / "360p").rename(tmp_path / "elsewhere")
    (home / "360p").symlink_to(tmp_path / "elsewhere")
    assert await read(library, "360p/init.mp4") is None
    # while the whole title may lie on another disk
    home.rename(tmp_path / "title")
    home.symlink_to(tmp_path / "title")
    assert await read(library, "720p/init.mp4") == content("720p/init.mp4", 700)


async def test_what_is_no_file_is_not_opened(library: MediaLibrary, folder: Path) -> None:
    home = store(folder, FILM, film())
    pipe, directory, missing = (home / "360p" / name for name in SEGMENTS)
    for file in (pipe, directory, missing):
        file.unlink()
    os.mkfifo(pipe)
    directory.mkdir()
    for name in SEGMENTS:
        assert await read(library, f"360p/{name}") is None


async def test_a_changed_index_is_read_anew(library: MediaLibrary, folder: Path) -> None:
    home = store(folder, FILM, film())
    before = await library.title(FILM)
    assert await library.title(FILM) is before  # from memory
    write_index(home, film(subtitles=[]))
    after = await library.title(FILM)
    assert after is not None
    assert after.media == film(subtitles=[])
    (home / INDEX).unlink()
    assert await library.title(FILM) is None


async def test_a_title_of_its_own_wins_over_the_fallback(folder: Path) -> None:
    demo = film(subtitles=[])
    store(folder, "demo", demo)
    store(folder, FILM, film())
    library = MediaLibrary(folder, fallback="demo")
    titles = await library.titles([FILM, "movie_00002", "../x"])
    assert {name: title.media for name, title in titles.items()} == {
        FILM: film(),
        "movie_00002": demo,
    }
    library.close()


def changed(**fields: Any) -> bytes:
    raw = msgspec.to_builtins(film()) | fields
    return msgspec.json.encode(raw)


def with_rendition(**fields: Any) -> bytes:
    raw = msgspec.to_builtins(film())
    raw["renditions"][0] |= fields
    return msgspec.json.encode(raw)


def with_piece(**fields: Any) -> bytes:
    raw = msgspec.to_builtins(film())
    raw["renditions"][0]["segments"][0] |= fields
    return msgspec.json.encode(raw)


BROKEN = {
    "empty": b"",
    "no JSON": b"{",
    "another shape": b"[]",
    "half": msgspec.json.encode(film())[:-20],
    "another format": changed(format=2),
    "no renditions": changed(renditions=[]),
    "endless": changed(duration_seconds=0),
    "a name with a path": with_rendition(name="../x"),
    "a hidden name": with_rendition(name=".x"),
    "a name with a new line": with_rendition(name="x\n"),
    "the name of subtitles": with_rendition(name="subtitles"),
    "one name twice": with_rendition(name="360p"),
    "no segments": with_rendition(segments=[]),
    "no codecs": with_rendition(codecs='avc1",X="'),
    "no rate": with_rendition(frame_rate=0),
    "a file with a path": with_piece(uri="../../x.m4s"),
    "an absolute file": with_piece(uri="/etc/passwd"),
    "a file of another type": with_piece(uri="x.html"),
    "a segment of no length": with_piece(duration_seconds=0),
    "a segment of no size": with_piece(size_bytes=0),
    "a range before the file": with_piece(offset_bytes=-1),
    "a language twice": msgspec.json.encode(
        msgspec.to_builtins(film(subtitles=[]))
        | {"subtitles": [msgspec.to_builtins(subtitles(tag, tag)) for tag in ("en", "EN")]}
    ),
    "two defaults": msgspec.json.encode(
        msgspec.to_builtins(film(subtitles=[]))
        | {
            "subtitles": [
                msgspec.to_builtins(subtitles(tag, tag, is_default=True)) for tag in ("en", "de")
            ]
        }
    ),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_index_hides_its_title_and_no_other(
    library: MediaLibrary, folder: Path, what: str
) -> None:
    home = store(folder, FILM, film())
    store(folder, "movie_00002", film())
    (home / INDEX).write_bytes(BROKEN[what])
    assert list(await library.titles([FILM, "movie_00002"])) == ["movie_00002"]


async def test_many_ask_at_once(library: MediaLibrary, folder: Path) -> None:
    for number in range(100):  # more than are remembered
        store(folder, f"movie_{number:05}", Media(duration_seconds=1, renditions=[small(number)]))
    requested_ids = [f"movie_{number:05}" for number in range(100)]
    answers = await asyncio.gather(*(library.titles(requested_ids) for _ in range(20)))
    for titles in answers:
        assert list(titles) == requested_ids
        assert [title.media.renditions[0].width for title in titles.values()] == list(range(1, 101))


def small(number: int) -> Any:
    one = [segment(0, 1.0, 10)]
    return rendition("360p", width=number + 1, segments=one, init=Piece(uri="i.mp4", size_bytes=1))
