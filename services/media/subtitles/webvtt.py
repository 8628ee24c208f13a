"""WebVTT: parsed leniently, written strictly.

What would mislead a player is mended: times that count from another packager's clock, cues that end
before they begin, arrows inside a text. A file without such faults stays as it is, byte for byte.

Source: https://www.w3.org/TR/webvtt1/ (sections 4 and 6); RFC 8216, section 3.5 (timestamp map).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_SIGNATURE = re.compile(r"WEBVTT(?:[ \t\n]|$)")
_TIME = r"(?:(\d{1,5}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
TIMING = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}(?:[ \t]+(.*))?")
TIMING_LIKE = re.compile(r"[ \t]*-?\d+:[\d:.,]+[ \t]*-->")  # times, though no good ones
_STRICT_TIME = r"(?:\d{2,}:)?[0-5]\d:[0-5]\d\.\d{3}"
_STRICT = re.compile(rf"{_STRICT_TIME}[ \t]+-->[ \t]+{_STRICT_TIME}(?:[ \t].*)?")
_SETTING = re.compile(r"(?:vertical|line|position|size|align|region):[^\s]+")
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FOREIGN_CLOCK = re.compile(r"^X-TIMESTAMP-MAP", re.MULTILINE)
_MAX_CUE_MS = 86_400_000  # no film is longer than a day
_STYLE_BLOCKS = ("STYLE", "REGION")


@dataclass(frozen=True, slots=True)
class Cue:
    """Text from one instant to another, in milliseconds; `text` is WebVTT's, lines by \\n."""

    start_ms: int
    end_ms: int
    text: str
    settings: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """Cues that can be shown, blocks of style before them, and whether anything was mended."""

    cues: list[Cue]
    styles: list[str]
    is_mended: bool


def is_webvtt(text: str) -> bool:
    """Say whether a text (line ends as \\n, no byte order mark) calls itself WebVTT."""
    return _SIGNATURE.match(text) is not None


def parse(text: str) -> Document:
    """Parse WebVTT; what cannot be shown is left out. Times are the file's own."""
    header, *blocks = re.split(r"\n{2,}", text.rstrip("\n"))
    first, _, rest = header.partition("\n")
    mended = any(pattern.search(text) for pattern in (_CONTROL, _FOREIGN_CLOCK)) or "-->" in first
    if "-->" in rest:  # a first cue right below the signature
        blocks.insert(0, rest)
        mended = True
    styles: list[str] = []
    cues: list[Cue] = []
    for block in blocks:
        if "-->" not in block:
            styles += [block] if block.startswith(_STYLE_BLOCKS) and not cues else []
            continue
        parsed = list(_cues(_CONTROL.sub("", block)))
        cues += [cue for cue in parsed if cue is not None]
        mended |= None in parsed or not _is_strict(block)
    return Document(cues, styles, mended)


def serialize(cues: Iterable[Cue], styles: Iterable[str] = ()) -> str:
    """Write cues, the earliest first."""
    ordered = sorted(cues, key=lambda cue: cue.start_ms)
    return "\n\n".join(["WEBVTT", *styles, *map(_block, ordered)]) + "\n"


def parse_times(timing: re.Match[str]) -> tuple[int, int]:
    """Read start and end in milliseconds from a match of `TIMING`."""
    return _milliseconds(timing.group(1, 2, 3, 4)), _milliseconds(timing.group(5, 6, 7, 8))


def can_show(start_ms: int, end_ms: int) -> bool:
    """Say whether a cue ends after its beginning; containers make ages of one that does not."""
    return start_ms < end_ms <= start_ms + _MAX_CUE_MS


def _cues(block: str) -> Iterator[Cue | None]:
    """The cues of a block, which is one unless a blank line is missing; None: not to be shown."""
    lines = block.strip("\n").split("\n")
    starts = [at for at, line in enumerate(lines) if TIMING_LIKE.match(line)]
    if not starts:
        yield None
        return
    for at, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        name = lines[at - 1] if at and (at - 1 == 0 or not lines[at - 2]) else ""
        yield _cue(lines[at], lines[at + 1 : end], name)


def _cue(line: str, payload: list[str], name: str) -> Cue | None:
    timing = TIMING.fullmatch(line)
    text = "\n".join(payload).strip().replace("-->", "--&gt;")
    if timing is None or not text:
        return None
    start_ms, end_ms = parse_times(timing)
    settings = " ".join(_SETTING.findall(timing.group(9) or ""))
    name = "" if "-->" in name else name
    return Cue(start_ms, end_ms, text, settings, name) if can_show(start_ms, end_ms) else None


def _is_strict(block: str) -> bool:
    """One arrow, on the first line or below a name, between times as the standard writes them."""
    lines = block.strip("\n").split("\n")
    at = next((at for at, line in enumerate(lines) if "-->" in line), len(lines))
    return block.count("-->") == 1 and at <= 1 and _STRICT.fullmatch(lines[at]) is not None


def _milliseconds(parts: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole * 1000 + int((fraction or "0").ljust(3, "0"))


def _block(cue: Cue) -> str:
    settings = f" {cue.settings}" if cue.settings else ""
    timing = f"{_time(cue.start_ms)} --> {_time(cue.end_ms)}{settings}"
    return "\n".join([*([cue.name] if cue.name else []), timing, cue.text])


def _time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    hours, minutes = divmod(seconds // 60, 60)
    clock = f"{minutes:02}:{seconds % 60:02}.{rest:03}"
    return f"{hours:02}:{clock}" if hours else clock
