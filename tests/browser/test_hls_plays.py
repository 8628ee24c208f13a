"""Our films in a real browser: `python -m server dev`, headless Chromium and hls.js.

Needs chromium, node and npm; where they are missing it is skipped, except in CI.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.browser import watch
from tests.support.fake_provider import free_port
from tests.support.media import make_clip
from tests.support.processes import Process, Served

FILMS = "{ movies(first: 2) { nodes { id } } }"
FIRST_FRAME_MS = 2000
SRT = "1\n00:00:00,500 --> 00:00:01,500\nEarly\n\n2\n00:00:02,000 --> 00:00:04,000\nLater\n"


async def test_films_play_in_chromium_with_every_quality_and_subtitles(
    chromium: str, packages: None, tmp_path: Path
) -> None:
    # given the development server, whose demo films have their clip
    port, page_port = free_port(), free_port()
    environment = {
        "PORT": str(port),
        "DATA_DIR": str(tmp_path / "data"),
        "CORS_ORIGIN": f"http://127.0.0.1:{page_port}",
        "INGEST_PRESET": "ultrafast",
    }
    with Process(tmp_path / "server", "dev", environment=environment) as server:
        await server.says("Marquee is running.")
        await server.says("The demo films' clip is made")
        async with Served(port) as served:
            _, body = await served.graphql(FILMS)
            demo, own = [film["id"] for film in body["data"]["movies"]["nodes"]]
        # and one film of its own, as MPEG-TS, taken in while it runs
        await take_in(tmp_path, own, environment)
        # when both are played
        films, complaints = await watch(
            chromium,
            page_port,
            f"http://127.0.0.1:{port}",
            [
                {"title": demo, "subtitles": [["en", 4.0], ["de", 1.0], ["de", 8.0]]},
                {"title": own, "subtitles": [["en", 1.0], ["en", 3.0]]},
            ],
        )
    # then the first picture is there at once, and every level and the right words have been seen
    print(f"first picture after {[round(film['first_frame_ms']) for film in films]} ms")
    assert complaints == []
    assert [film["first_frame_ms"] < FIRST_FRAME_MS for film in films] == [True, True]
    assert [film["levels"] for film in films] == [[360, 480, 720, 1080], [360, 480]]
    assert [film["seen"] for film in films] == [[360, 480, 720, 1080], [360, 480]]
    assert [film["subtitles"] for film in films] == [["en", "de"], ["en"]]
    assert films[0]["told"] == [
        ["Every demo film plays it."],
        ["Ein Testbild, das Marquee selbst gezeichnet hat."],
        ["Ein eigener Film kommt an seine Stelle mit\npython -m server ingest"],
    ]
    assert films[1]["told"] == [["Early"], ["Later"]]


async def take_in(folder: Path, title_id: str, environment: dict[str, str]) -> None:
    film, subtitles = folder / "own.mp4", folder / "own.srt"
    await make_clip(film, size="854x480", seconds=6)
    subtitles.write_text(SRT)
    arguments = ["--title", title_id, "--segments", "ts", "--subtitles", f"en={subtitles}"]
    with Process(
        folder / "ingest", "ingest", str(film), *arguments, environment=environment
    ) as taking:
        assert await taking.ended(120) == 0, taking.output
