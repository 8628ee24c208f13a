"""Drawing of posters and backdrops: one small SVG per title, always the same.

Colours come from the first genre, the composition from the title's id, the words from title and
year. No fonts, scripts or addresses inside; every text is escaped; less than 8 KB each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from colorsys import hls_to_rgb
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from unicodedata import east_asian_width

from services.media.art_shapes import COMPOSITIONS, Canvas, Palette

POSTER = Canvas(500, 750)
BACKDROP = Canvas(1280, 720)
_SERIF = "Georgia,'Times New Roman',serif"
_SANS = "'Helvetica Neue',Arial,sans-serif"
_LONGEST_TITLE = 120
_WIDTH_OF_SIGN = 0.56  # of a serif capital-and-small mix, in font sizes
_LINE_HEIGHT = 1.14

_HUES = {  # degrees: background, light
    "action": (12, 38),
    "adventure": (168, 44),
    "animation": (280, 52),
    "comedy": (322, 48),
    "crime": (222, 8),
    "documentary": (200, 36),
    "drama": (258, 24),
    "family": (148, 50),
    "fantasy": (288, 178),
    "history": (28, 44),
    "horror": (352, 14),
    "music": (182, 320),
    "mystery": (238, 48),
    "romance": (346, 20),
    "science-fiction": (208, 168),
    "short": (190, 48),
    "thriller": (216, 354),
    "war": (88, 30),
    "western": (20, 46),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Title to draw; `id` chooses the composition, so a corrected title keeps its picture."""

    id: str
    title: str
    year: int | None = None
    genre: str | None = None


def draw_poster(subject: Subject) -> str:
    """Draw a poster of 500 x 750 as SVG text."""
    return _draw(subject, POSTER, sizes=(64, 56, 48, 40, 34, 28), top=0.56)


def draw_backdrop(subject: Subject) -> str:
    """Draw a backdrop of 1280 x 720 as SVG text."""
    return _draw(subject, BACKDROP, sizes=(84, 72, 60, 50, 42), top=0.52)


def _draw(subject: Subject, canvas: Canvas, *, sizes: Sequence[int], top: float) -> str:
    chance = hashlib.blake2b(subject.id.encode("utf-8", "replace"), digest_size=16).digest()
    palette = _palette(subject, chance)
    compose = COMPOSITIONS[chance[0] % len(COMPOSITIONS)]
    shapes = compose(canvas, palette, chance[2:])
    label = escape(_printable(subject.title))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {canvas.width} {canvas.height}"'
        f' width="{canvas.width}" height="{canvas.height}" role="img" aria-label="{label}">'
        f"{_defs(palette)}"
        f'<rect width="100%" height="100%" fill="url(#sky)"/>{shapes}'
        f'<rect width="100%" height="100%" fill="url(#veil)"/>'
        f"{_lettering(subject, canvas, palette, sizes, top)}</svg>"
    )


def _palette(subject: Subject, chance: bytes) -> Palette:
    base, light = _HUES.get(subject.genre or "", (chance[1] * 360 // 256, chance[2] * 360 // 256))
    hue_shift = chance[3] % 21 - 10  # two films of one genre are not of one colour
    return Palette(
        deep=_colour(base + hue_shift, 45, 10),
        middle=_colour(base + hue_shift, 52, 27),
        bright=_colour(base + hue_shift, 55, 46),
        light=_colour(light + hue_shift, 82, 66),
        paper=_colour(light, 45, 94),
    )


def _colour(hue: int, saturation: int, lightness: int) -> str:
    """Degrees and percents as #rrggbb, which every renderer knows."""
    parts = hls_to_rgb(hue % 360 / 360, lightness / 100, saturation / 100)
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def _defs(palette: Palette) -> str:
    """The sky behind the shapes, and a veil that keeps the lettering legible on all of them."""
    return (
        '<defs><linearGradient id="sky" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{palette.middle}"/>'
        f'<stop offset="1" stop-color="{palette.deep}"/></linearGradient>'
        '<linearGradient id="veil" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset=".4" stop-color="{palette.deep}" stop-opacity="0"/>'
        f'<stop offset=".66" stop-color="{palette.deep}" stop-opacity=".86"/>'
        f'<stop offset="1" stop-color="{palette.deep}"/></linearGradient></defs>'
    )


def _lettering(
    subject: Subject, canvas: Canvas, palette: Palette, sizes: Sequence[int], top: float
) -> str:
    margin = canvas.width // 12
    height = int(canvas.height * (0.91 - top))
    lines, size = _fit(_printable(subject.title), canvas.width - 2 * margin, height, sizes)
    step, small = round(size * _LINE_HEIGHT), canvas.height // 36
    foot = canvas.height - margin - 30
    first = foot - 34 - step * (len(lines) - 1)
    rows = "".join(
        f'<tspan x="{margin}" y="{first + step * at}">{escape(line)}</tspan>'
        for at, line in enumerate(lines)
    )
    return (
        f'<rect x="{margin}" y="{first - size - 14}" width="{canvas.width // 8}" height="5"'
        f' fill="{palette.light}"/>'
        f'<text font-family="{_SERIF}" font-size="{size}" font-weight="700"'
        f' fill="{palette.paper}">{rows}</text>'
        f'<text x="{margin}" y="{foot + 14}" font-family="{_SANS}" font-size="{small}"'
        f' letter-spacing="{small / 5:.0f}" fill="{palette.light}">'
        f"{escape(_caption(subject))}</text>"
    )


def _caption(subject: Subject) -> str:
    genre = _printable(subject.genre or "").replace("-", " ").upper()[:30]
    return "  ·  ".join(part for part in (str(subject.year or ""), genre) if part)


def _fit(title: str, width: int, height: int, sizes: Sequence[int]) -> tuple[list[str], int]:
    """The largest size at which the title fits; at the smallest one it is cut."""
    wide = 1.0 if any(east_asian_width(sign) in "WF" for sign in title) else _WIDTH_OF_SIGN
    longest = max(map(len, title.split()), default=0)
    columns = most = 1
    for size in sizes:
        columns, most = int(width / (size * wide)), int(height / (size * _LINE_HEIGHT))
        lines = wrap(title, columns)
        if longest <= columns and len(lines) <= most:
            return lines, size
    return wrap(title, columns, max_lines=most, placeholder=" …"), sizes[-1]


def _printable(text: str) -> str:
    """Only what XML may hold: no control signs, no halves of surrogate pairs."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text)
    text = " ".join(printable.split())
    return text if len(text) <= _LONGEST_TITLE else f"{text[: _LONGEST_TITLE - 1]}…"
