"""Films as they come: ffmpeg's arguments that make each, and what a viewer gets of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from services.media import ffmpeg
from tests.support.media import FFMPEG

_PICTURE_CODEC = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
_CODECS = (*_PICTURE_CODEC, "-c:a", "aac")
_HDR = (
    "-c:v", "libx265", "-x265-params", "log-level=error", "-preset", "ultrafast",
    "-pix_fmt", "yuv420p10le",
)  # fmt: skip
SRT = (
    "1\n00:00:00,500 --> 00:00:01,000\nTom & Jerry --> here\n\n"
    "2\n00:00:02,000 --> 00:00:01,000\nnever\n"
)
PLAIN_SRT = "1\n00:00:00,500 --> 00:00:01,000\nOne\n"
SHIFTED_VTT = (
    "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n"
    "00:01.000 --> 00:02.000\nAt one second\n"
)
ASS = (
    "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize\n"
    "Style: Default,Arial,20\n\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    "Dialogue: 0,0:00:00.50,0:00:01.50,Default,,0,0,0,,{\\i1}Hallo{\\i0} du\n"
)


@dataclass(frozen=True, slots=True)
class OddFilm:
    """Input of an ingest, and what has to come of it."""

    file: str
    arguments: tuple[str, ...]
    seconds: float
    sizes: tuple[str, ...] = ("160x90",)
    rate: Fraction = Fraction(25)
    audio: tuple[str, ...] = ()  # languages of separate tracks, the default first
    is_silent: bool = False
    subtitles: Mapping[str, list[list[object]]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)  # --subtitles: language -> text


def picture(size: str = "160x90", rate: str = "25", seconds: float = 2) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}")


def tone(seconds: float = 2, frequency: int = 440) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine=frequency={frequency}:duration={seconds}")


def _hdr(transfer: str) -> tuple[str, ...]:
    tags = f"color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc"
    gray = ("-f", "lavfi", "-i", "color=0x808080:size=160x90:rate=25:duration=2")
    options = ("-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", "bt2020nc")
    return (*gray, "-vf", f"setparams={tags}", *_HDR, *options)


def _maps(*streams: str) -> tuple[str, ...]:
    return tuple(part for stream in streams for part in ("-map", stream))


_INTERLACE = "tinterlace=interleave_top"
_LANGUAGES = (
    "-metadata:s:a:0", "language=eng", "-metadata:s:a:0", "title=Director's commentary",
    "-metadata:s:a:1", "language=eng", "-metadata:s:a:2", "language=ger",
    "-disposition:a:0", "0", "-disposition:a:1", "default",
)  # fmt: skip
ODD_FILMS = {
    "sound that ends early": OddFilm(
        "film.mp4", (*picture(seconds=3), *tone(0.5), *_CODECS), seconds=3
    ),
    "sound that goes on": OddFilm("film.mp4", (*picture(), *tone(4), *_CODECS), seconds=2),
    "a picture that begins late": OddFilm(
        "film.mkv", ("-itsoffset", "0.5", *picture(), *tone(2.5), *_CODECS), seconds=2.5
    ),
    "interlaced": OddFilm(
        "film.ts",
        (*picture("320x240", "50"), *tone(), "-vf", f"{_INTERLACE},setfield=tff",
         "-c:v", "mpeg2video", "-b:v", "4M", "-flags", "+ildct+ilme", "-c:a", "mp2"),
        seconds=2,
        sizes=("320x240",),
    ),
    "interlaced, and not flagged": OddFilm(
        "film.mp4",
        (*picture("320x240", "50"), *tone(), "-vf", f"{_INTERLACE},setfield=prog", *_CODECS),
        seconds=2,
        sizes=("320x240",),
    ),
    "HDR by PQ": OddFilm("film.mkv", _hdr("smpte2084"), seconds=2, is_silent=True),
    "HDR by HLG": OddFilm(
        "film.mp4", (*_hdr("arib-std-b67"), "-tag:v", "hvc1"), seconds=2, is_silent=True
    ),
    "four pixels less than a rung": OddFilm(
        "film.mp4",
        (*picture("1916x1076", "5"), *tone(), *_CODECS),
        seconds=2,
        sizes=("1916x1076", "1280x718", "854x480", "640x360"),
        rate=Fraction(5),
    ),
    "PAL": OddFilm(
        "film.mpg",
        (*picture("720x576", "25", 1), *tone(1), "-vf", "setsar=64/45", "-c:v", "mpeg2video",
         "-b:v", "4M", "-c:a", "mp2"),
        seconds=1,
        sizes=("1024x576", "854x480", "640x360"),
    ),
    "852x478": OddFilm(
        "film.mp4",
        (*picture("852x478", "5"), *tone(), *_CODECS),
        seconds=2,
        sizes=("852x478", "640x360"),
        rate=Fraction(5),
    ),
    "a commentary first, then two languages": OddFilm(
        "film.mkv",
        (*picture(), *tone(2, 300), *tone(2, 600), *tone(1, 900), *_maps("0", "1", "2", "3"),
         *_CODECS, *_LANGUAGES),
        seconds=2,
        audio=("en", "de"),
    ),
    "a cover first": OddFilm(
        "film.mkv",
        ("-f", "lavfi", "-i", "color=red:size=300x300:rate=25:duration=0.04", *picture(), *tone(),
         *_maps("0", "1", "2"), "-c:v:0", "mjpeg", "-pix_fmt:v:0", "yuvj420p", "-c:v:1", "libx264",
         "-preset", "ultrafast", "-pix_fmt:v:1", "yuv420p", "-c:a", "aac"),
        seconds=2,
    ),
    "subtitles inside": OddFilm(
        "film.mkv",
        (*picture(), *tone(), "-i", "plain.srt", "-i", "some.ass", *_maps("0", "1", "2", "3"),
         *_CODECS, "-c:s:0", "srt", "-c:s:1", "ass", "-metadata:s:s:0", "language=eng",
         "-metadata:s:s:1", "language=ger"),
        seconds=2,
        subtitles={"en": [[0.5, 1.0, "One"]], "de": [[0.5, 1.5, "Hallo du"]]},
    ),
    "odd cues in files of one language's countries": OddFilm(
        "film.mp4",
        (*picture(), *tone(), *_CODECS),
        seconds=2,
        files={"pt-BR": SRT, "pt-PT": SHIFTED_VTT},
        subtitles={
            "pt-BR": [[0.5, 1.0, "Tom & Jerry --> here"]],
            "pt-PT": [[1.0, 2.0, "At one second"]],
        },
    ),
    "12.5 pictures a second": OddFilm(
        "film.mp4", (*picture(rate="25/2"), *tone(), *_CODECS), seconds=2, rate=Fraction(25, 2)
    ),
    "a rate that varies": OddFilm(
        "film.mkv",
        (*picture(rate="30", seconds=4), *tone(4), "-vf", "select='lt(t,2)+not(mod(n,5))'",
         "-fps_mode", "vfr", *_CODECS),
        seconds=3.87,
        rate=Fraction(30),
    ),
    "WebM without a length": OddFilm(
        "film.webm",
        (*picture(), *tone(), "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus",
         "-live", "1"),
        seconds=2,
    ),
}  # fmt: skip


async def make_film(folder: Path, film: OddFilm) -> Path:
    """Draws a film; its subtitles lie beside it."""
    folder.mkdir(parents=True)
    (folder / "plain.srt").write_text(PLAIN_SRT)
    (folder / "some.ass").write_text(ASS)
    for language, text in film.files.items():
        (folder / f"{language}.txt").write_text(text)
    await ffmpeg.run(FFMPEG, [*film.arguments, film.file], folder=folder)
    return folder / film.file
