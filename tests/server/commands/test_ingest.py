"""`python -m server ingest`, as people run it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.media import make_clip
from tests.support.processes import Process, is_running, until

TITLE = "movie_51db7af36dc43709b5c8"
Ingest = Callable[..., Process]


@pytest.fixture
def ingest(tmp_path: Path) -> Ingest:
    """Starts the command with DATA_DIR in the test's folder."""
    count = 0

    def start(*arguments: object, **environment: str) -> Process:
        nonlocal count
        count += 1
        variables = {
            "DATA_DIR": str(tmp_path / "data"),
            "INGEST_PRESET": "ultrafast",
            **environment,
        }
        folder = tmp_path / f"run-{count}"
        return Process(folder, "ingest", *map(str, arguments), environment=variables)

    return start


def library(tmp_path: Path) -> list[str]:
    folder = tmp_path / "data" / "media"
    return sorted(each.name for each in folder.iterdir()) if folder.exists() else []


async def test_a_film_with_subtitles_is_taken_in(ingest: Ingest, tmp_path: Path) -> None:
    # given a film and its subtitles
    film = await make_clip(tmp_path / "my film.mkv", size="854x480")
    subtitles = tmp_path / "film.srt"
    subtitles.write_text("1\n00:00:00,000 --> 00:00:02,000\nHello\n")
    # when the command is given both
    with ingest(film, "--title", TITLE, "--subtitles", f"en={subtitles}") as process:
        assert await process.ended(120) == 0, process.output
    # then it tells what there is now
    first, *qualities, track = process.output.splitlines()
    assert first == f"3 s in {tmp_path / 'data' / 'media' / TITLE}"
    assert [line.split()[:2] for line in qualities] == [["480p", "854x480"], ["360p", "640x360"]]
    assert track.split() == ["en", "subtitles,", "English"]
    assert library(tmp_path) == [TITLE]
    # and a second time only with force
    with ingest(film, "--title", TITLE) as process:
        assert await process.ended() == 1
    assert process.output == (f"marquee: {TITLE} is in the library already: --force replaces it.\n")
    with ingest(film, "--title", TITLE, "--force", "--segments", "ts") as process:
        assert await process.ended(120) == 0, process.output
    assert library(tmp_path) == [TITLE]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--title", TITLE], "film.mp4 is not a video that ffmpeg can read."),
        (["--title", "../../etc"], "'../../etc' is not the id of a film or an episode: movie_..."),
        (["--title", "person_1"], "'person_1' is not the id of a film or an episode: movie_..."),
        (
            ["--title", TITLE, "--subtitles", "film.vtt"],
            "--subtitles is a language and a file, such as en=film.vtt.",
        ),
        (
            ["--title", TITLE, "--subtitles", "en=a", "--subtitles", "en=b"],
            "--subtitles names en twice.",
        ),
    ],
)
async def test_what_does_not_fit_is_one_clear_line(
    ingest: Ingest, tmp_path: Path, arguments: list[str], message: str
) -> None:
    film = tmp_path / "film.mp4"
    film.write_text("no film")
    with ingest(film, *arguments) as process:
        assert await process.ended() == 1
    assert process.output == f"marquee: {message}\n"
    assert library(tmp_path) == []


async def test_without_ffmpeg_one_line_says_what_to_do(ingest: Ingest, tmp_path: Path) -> None:
    film = await make_clip(tmp_path / "film.mp4", seconds=1)
    with ingest(film, "--title", TITLE, FFMPEG_BINARY="/nowhere/ffmpeg") as process:
        assert await process.ended() == 1
    assert process.output == (
        "marquee: FFMPEG_BINARY is '/nowhere/ffmpeg', which is not an executable file.\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_an_interrupted_run_shows_nothing_and_the_next_clears_up(
    ingest: Ingest, tmp_path: Path, number: signal.Signals
) -> None:
    # given a long encoding on its way
    film = await make_clip(tmp_path / "film.mp4", size="640x360", seconds=30)
    media = tmp_path / "data" / "media"
    with ingest(film, "--title", TITLE, INGEST_PRESET="veryslow") as process:
        await until(lambda: [*media.glob(".ingest-*/360p/*")])
        encoders = process.children()
        assert len(encoders) == 1
        # when it is interrupted
        process.send(number)
        status = await process.ended(20)
    assert status == (130 if number is signal.SIGINT else -signal.SIGKILL)
    assert process.output == ""
    # then ffmpeg is gone with it, and no title is there
    await until(lambda: not any(is_running(pid) for pid in encoders), 10)
    assert [name for name in library(tmp_path) if not name.startswith(".")] == []
    # and the next run leaves its own title alone there
    short = await make_clip(tmp_path / "short.mp4", seconds=1)
    with ingest(short, "--title", TITLE) as process:
        assert await process.ended(60) == 0, process.output
    assert library(tmp_path) == [TITLE]
