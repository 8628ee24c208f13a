"""Subtitles from anywhere become WebVTT that every player shows at the right time."""

from __future__ import annotations

import pytest

from services.media.errors import IngestRefused
from services.media.subtitles.files import to_webvtt


def converted(text: str) -> str:
    return to_webvtt(text.encode(), "film.srt").decode()


def srt(text: str, times: str = "00:00:01,000 --> 00:00:02,000") -> str:
    return f"1\n{times}\n{text}\n\n2\n00:00:03,000 --> 00:00:04,000\nnext\n"


NEXT = "\n\n00:03.000 --> 00:04.000\nnext\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Tom & Jerry", "Tom &amp; Jerry"),
        ("a --> b", "a --&gt; b"),
        ("2 < 3 > 1", "2 &lt; 3 &gt; 1"),
        ("&amp;", "&amp;amp;"),
        ("<i>one</i> <B>two</B>", "<i>one</i> <b>two</b>"),
        ('<font color="#ff0000">red</font>', "red"),
        (r"{\an8}above", "above"),
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ("two\nlines", "two\nlines"),
        ("two\n\nparts", "two\nparts"),
        ("in\x07visible", "invisible"),
        ("10:30 --> 11:00 by train", "10:30 --&gt; 11:00 by train"),
        ("1984", "1984"),
    ],
)
def test_text_of_srt_shows_as_it_reads(text: str, shown: str) -> None:
    assert converted(srt(text)) == f"WEBVTT\n\n00:01.000 --> 00:02.000\n{shown}{NEXT}"


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        ("00:00:01.5 --> 00:00:02.25", "00:01.500 --> 00:02.250"),
        ("0:00:01,000-->0:00:02,000", "00:01.000 --> 00:02.000"),
        ("00:00:01 --> 00:00:02  X1:40 X2:600", "00:01.000 --> 00:02.000"),
        ("01:00:01,000 --> 01:00:02,000", "01:00:01.000 --> 01:00:02.000"),
    ],
)
def test_times_of_srt_in_every_hand(times: str, shown: str) -> None:
    assert f"{shown}\nsome" in converted(srt("some", times))


@pytest.mark.parametrize(
    "times",
    [
        "00:00:02,000 --> 00:00:01,000",
        "00:00:01,000 --> 00:00:01,000",
        "-00:00:01,000 --> 00:00:01,000",
        "00:00:01,000 --> 1193:02:48,000",
        "99999999999999999999:00:01,000 --> 00:00:01,000",
    ],
)
def test_cues_without_a_time_to_show_them_are_dropped(times: str) -> None:
    assert converted(srt("never", times)) == f"WEBVTT{NEXT}"
    webvtt = times.replace(",", ".")
    text = f"WEBVTT\n\n{webvtt}\nnever\n\n00:00:03.000 --> 00:00:04.000\nnext\n"
    assert converted(text) == f"WEBVTT{NEXT}"


def test_cues_without_numbers_or_blank_lines_and_with_windows_line_ends() -> None:
    text = "00:00:01,000 --> 00:00:02,000\r\none\r\n00:00:03,000 --> 00:00:04,000\r\nnext\r\n"
    assert converted(text) == f"WEBVTT\n\n00:01.000 --> 00:02.000\none{NEXT}"


@pytest.mark.parametrize(
    "text",
    [
        "WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n",
        "\ufeffWEBVTT - a film\nKind: captions\n\nNOTE by us\n\nSTYLE\n::cue { color: lime }\n\n"
        "one\n00:00:00.000 --> 00:00:01.000 align:start line:10%\n<v Ann>a & b\n",
        "WEBVTT\r\n\r\n00:00.000 --> 00:01.000\r\nHello\r\n",
    ],
)
def test_good_webvtt_stays_byte_for_byte(text: str) -> None:
    assert converted(text) == text


def test_another_packagers_clock_is_left_out() -> None:
    # given segments of a stream that began at 10 s of its own clock
    head = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n"
    text = head + "STYLE\n::cue { color: lime }\n\n00:01.000 --> 00:02.000 line:5%\nHello\n"
    # then the file's own times are what counts
    assert converted(text) == (
        "WEBVTT\n\nSTYLE\n::cue { color: lime }\n\n00:01.000 --> 00:02.000 line:5%\nHello\n"
    )


def test_arrows_and_missing_blank_lines_in_webvtt_end_no_cue() -> None:
    text = "WEBVTT\n\nx\n00:03.000 --> 00:04.000\nc --> d\n00:01.000 --> 00:02.000\na\n"
    assert converted(text) == (
        "WEBVTT\n\n00:01.000 --> 00:02.000\na\n\nx\n00:03.000 --> 00:04.000\nc --&gt; d\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("WEBVTT\n\nNOTE nothing\n", "holds no subtitles that can be shown"),
        ("WEBVTT", "holds no subtitles that can be shown"),
        ("WEBVTT\n\n00:02.000 --> 00:01.000\nnever\n", "holds no subtitles that can be shown"),
        ("no subtitles", "neither WebVTT nor SRT"),
        ("1\n00:00:02,000 --> 00:00:01,000\nnever\n", "neither WebVTT nor SRT"),
        ("WEBVTT\n\n00:00.000 --> 00:01.000\na\0b\n", "holds NUL bytes"),
        ("1\n00:00:01,000 --> 00:00:02,000\na\0b\n", "holds NUL bytes"),
    ],
)
def test_files_that_show_nothing_are_refused(text: str, message: str) -> None:
    with pytest.raises(IngestRefused, match=message):
        converted(text)
