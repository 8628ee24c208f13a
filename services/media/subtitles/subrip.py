"""SubRip (SRT) as it is found: no standard, so read leniently, and turned into WebVTT cues."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.media.subtitles.webvtt import TIMING, TIMING_LIKE, Cue, can_show, parse_times

_MARKUP = re.compile(r"<(/?)(\w+)([^<>]*)>")
_OVERRIDE = re.compile(r"\{\\[^{}]*\}")  # {\an8}: of another format, which players took over
_STYLES = {"i", "b", "u"}
_DROPPED = {"font", "s", "strike", "em", "strong", "span"}
_CONTROL = re.compile(r"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")


def parse_srt(text: str) -> list[Cue]:
    """Parse SRT (line ends as \\n); what cannot be shown is left out.

    A cue begins with its line of times; a number above it, after a blank line, belongs to it.
    """
    lines = _CONTROL.sub("", text).split("\n")
    starts = [at for at in range(len(lines)) if _begins_cue(lines, at)]
    ends = [*starts[1:], len(lines)] if starts else []
    return [cue for at, end in zip(starts, ends, strict=True) for cue in _cue(lines, at, end)]


def _begins_cue(lines: list[str], at: int) -> bool:
    """Times that are no text: with hours, or whatever stands below a number or a blank line."""
    above = lines[at - 1].strip() if at else ""
    timing = TIMING.fullmatch(lines[at].rstrip())
    if timing is not None and timing[1]:
        return True
    return TIMING_LIKE.match(lines[at]) is not None and (not above or above.isdigit())


def _cue(lines: list[str], at: int, end: int) -> Iterator[Cue]:
    timing = TIMING.fullmatch(lines[at].rstrip())
    text = _text(_payload(lines[at + 1 : end], is_last=end == len(lines)))
    if timing is not None and text:
        start_ms, end_ms = parse_times(timing)
        if can_show(start_ms, end_ms):
            yield Cue(start_ms, end_ms, text)


def _payload(lines: list[str], *, is_last: bool) -> list[str]:
    """The lines of a cue, without the number of the next one."""
    if not is_last and lines and lines[-1].strip().isdigit():
        is_number = len(lines) == 1 or not lines[-2].strip()
        lines = lines[:-1] if is_number else lines
    return [line.strip() for line in lines if line.strip()]


def _text(lines: list[str]) -> str:
    return "\n".join(filter(None, (_escape(_OVERRIDE.sub("", line)).strip() for line in lines)))


def _escape(line: str) -> str:
    """Text as WebVTT has it: markup that both know stays, all else is what it looks like."""
    escaped, at = [], 0
    for match in _MARKUP.finditer(line):
        name = match[2].lower()
        if name not in _STYLES | _DROPPED:
            continue
        escaped.append(_literal(line[at : match.start()]))
        escaped.append(f"<{match[1]}{name}>" if name in _STYLES else "")
        at = match.end()
    return "".join([*escaped, _literal(line[at:])])


def _literal(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
