"""Compositions of drawn art: each fills a canvas from a few random bytes.

All are functions (canvas, palette, chance) -> SVG elements, at most about 4 KB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin


@dataclass(frozen=True, slots=True)
class Canvas:
    """Size of a drawing in SVG units."""

    width: int
    height: int

    @property
    def short(self) -> int:
        """Length of the shorter side."""
        return min(self.width, self.height)


@dataclass(frozen=True, slots=True)
class Palette:
    """Five colours as #rrggbb, from dark to light."""

    deep: str
    middle: str
    bright: str
    light: str
    paper: str


Composition = Callable[[Canvas, Palette, bytes], str]


def _circle(x: float, y: float, radius: float, style: str) -> str:
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.0f}" {style}/>'


def _polygon(points: list[tuple[float, float]], style: str) -> str:
    coordinates = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    return f'<polygon points="{coordinates}" {style}/>'


def _fill(colour: str, opacity: float = 1.0) -> str:
    return f'fill="{colour}" fill-opacity="{opacity:.2f}"'


def _stroke(colour: str, width: float, opacity: float = 1.0) -> str:
    return (
        f'fill="none" stroke="{colour}" stroke-width="{width:.0f}" stroke-opacity="{opacity:.2f}"'
    )


def _interpolate(byte: int, low: float, high: float) -> float:
    return low + (high - low) * byte / 255


def draw_moon(canvas: Canvas, palette: Palette, chance: bytes) -> str:
    """A large moon over ridges."""
    x = canvas.width * _interpolate(chance[0], 0.3, 0.75)
    y = canvas.height * _interpolate(chance[1], 0.22, 0.32)
    radius = canvas.short * _interpolate(chance[2], 0.2, 0.3)
    glow = _circle(x, y, radius * 1.35, _fill(palette.light, 0.12))
    ridges = "".join(
        _ridge(canvas, chance[4 + row :], 0.48 + 0.09 * row, colour)
        for row, colour in enumerate((palette.bright, palette.middle, palette.deep))
    )
    return glow + _circle(x, y, radius, _fill(palette.light)) + ridges


def _ridge(canvas: Canvas, chance: bytes, level: float, colour: str) -> str:
    tops = [
        (canvas.width * at / 6, canvas.height * (level + _interpolate(chance[at], -0.08, 0.05)))
        for at in range(7)
    ]
    points = [(0.0, float(canvas.height)), *tops, (float(canvas.width), float(canvas.height))]
    return _polygon(points, _fill(colour, 0.92))


def draw_rays(canvas: Canvas, palette: Palette, chance: bytes) -> str:
    """Light that bursts from one place, as from a projector."""
    x = canvas.width * _interpolate(chance[0], 0.2, 0.8)
    y = canvas.height * _interpolate(chance[1], 0.2, 0.4)
    count, reach = 14 + chance[2] % 8, canvas.width + canvas.height
    beams = "".join(
        _polygon(
            [
                (x, y),
                (x + reach * cos(angle), y + reach * sin(angle)),
                (x + reach * cos(angle + pi / count), y + reach * sin(angle + pi / count)),
            ],
            _fill(palette.bright if number % 2 else palette.light, 0.38 if number % 2 else 0.2),
        )
        for number, angle in ((n, 2 * pi * n / count + chance[3] / 40) for n in range(count))
    )
    return beams + _circle(x, y, canvas.short * 0.13, _fill(palette.light))


def draw_rings(canvas: Canvas, palette: Palette, chance: bytes) -> str:
    """Rings around one centre, as of a target or a record."""
    x = canvas.width * _interpolate(chance[0], 0.35, 0.65)
    y = canvas.height * _interpolate(chance[1], 0.28, 0.36)
    outer = canvas.short * _interpolate(chance[2], 0.55, 0.75)
    drawn = "".join(
        _circle(x, y, outer * (8 - ring) / 8, _stroke(colour, outer / 22, 0.35 + ring * 0.08))
        for ring, colour in enumerate([palette.bright, palette.light] * 4)
    )
    return drawn + _circle(x, y, outer / 12, _fill(palette.light))


def draw_city(canvas: Canvas, palette: Palette, chance: bytes) -> str:
    """A skyline with lit windows."""
    width = canvas.width / 8
    houses = []
    for number in range(8):
        top = canvas.height * _interpolate(chance[number % len(chance)], 0.2, 0.5)
        x = number * width
        houses.append(
            f'<rect x="{x:.0f}" y="{top:.0f}" width="{width - 4:.0f}"'
            f' height="{canvas.height:.0f}" {_fill(palette.deep, 0.9)}/>'
        )
        for row in range(4):
            if chance[(number + row) % len(chance)] >> row & 1:
                houses.append(
                    f'<rect x="{x + width * 0.24:.0f}" y="{top + 22 + row * 34:.0f}"'
                    f' width="{width * 0.4:.0f}" height="14" {_fill(palette.light, 0.85)}/>'
                )
    sun = _circle(
        canvas.width * _interpolate(chance[8], 0.25, 0.75),
        canvas.height * 0.3,
        canvas.short * 0.26,
        _fill(palette.bright),
    )
    return sun + "".join(houses)


def draw_waves(canvas: Canvas, palette: Palette, chance: bytes) -> str:
    """Long waves under a low sun."""
    sun = _circle(
        canvas.width * _interpolate(chance[0], 0.3, 0.7),
        canvas.height * 0.34,
        canvas.short * _interpolate(chance[1], 0.18, 0.27),
        _fill(palette.light),
    )
    return sun + "".join(_wave(canvas, palette, chance[2 + row], row) for row in range(6))


def _wave(canvas: Canvas, palette: Palette, byte: int, row: int) -> str:
    level, swell = (
        canvas.height * (0.36 + 0.075 * row),
        canvas.height * _interpolate(byte, 0.02, 0.06),
    )
    colour = palette.bright if row % 2 == 0 else palette.middle
    quarter, shift = canvas.width / 4, canvas.width * byte / 1024
    start = f"M{-shift:.0f} {level:.0f}"
    crests = f"q{quarter / 2:.0f} {-swell:.0f} {quarter:.0f} 0t" + f"{quarter:.0f} 0 " * 5
    return f'<path d="{start}{crests}V{canvas.height}H0Z" {_fill(colour, 0.72)}/>'


def draw_blinds(canvas: Canvas, palette: Palette, chance: bytes) -> str:
    """Slanting light through blinds, a figure's window in a dark room."""
    lean, count = canvas.height * _interpolate(chance[0], 0.08, 0.22), 11
    step = canvas.height * 0.62 / count
    start, end = canvas.width * _interpolate(chance[1], 0.05, 0.2), canvas.width * 0.95
    slats = "".join(
        _polygon(
            [
                (start, step * row + lean),
                (end, step * row),
                (end, step * (row + 0.58)),
                (start, step * (row + 0.58) + lean),
            ],
            _fill(palette.light, _interpolate(chance[2 + row % 8], 0.3, 0.85)),
        )
        for row in range(count)
    )
    bar = canvas.width * _interpolate(chance[3], 0.35, 0.7)
    return slats + (
        f'<rect x="{bar:.0f}" y="0" width="{canvas.width / 16:.0f}" height="{canvas.height}"'
        f" {_fill(palette.deep, 0.85)}/>"
    )


def draw_facets(canvas: Canvas, palette: Palette, chance: bytes) -> str:
    """A crystal of triangles."""
    x, y = canvas.width * _interpolate(chance[0], 0.38, 0.62), canvas.height * 0.3
    corners = [
        (
            x + canvas.short * _interpolate(chance[1 + n], 0.34, 0.58) * cos(2 * pi * n / 9),
            y + canvas.short * _interpolate(chance[2 + n], 0.3, 0.5) * sin(2 * pi * n / 9),
        )
        for n in range(9)
    ]
    colours = (palette.light, palette.bright, palette.middle)
    return "".join(
        _polygon([(x, y), corner, corners[(n + 1) % 9]], _fill(colours[n % 3], 0.8 - n % 4 * 0.12))
        for n, corner in enumerate(corners)
    )


def draw_frames(canvas: Canvas, palette: Palette, chance: bytes) -> str:
    """A strip of film across the picture."""
    tilt = _interpolate(chance[0], -16, 16)
    width, top = canvas.width * 1.4, canvas.height * 0.13
    height, x = canvas.height * 0.36, -canvas.width * 0.2
    holes = "".join(
        f'<rect x="{x + n * width / 16 + 10:.0f}" y="{level:.0f}" width="{width / 34:.0f}"'
        f' height="{height * 0.09:.0f}" rx="4" {_fill(palette.paper, 0.8)}/>'
        for n in range(16)
        for level in (top + height * 0.05, top + height * 0.86)
    )
    pictures = "".join(
        f'<rect x="{x + n * width / 4 + 12:.0f}" y="{top + height * 0.2:.0f}"'
        f' width="{width / 4 - 24:.0f}" height="{height * 0.6:.0f}" rx="6"'
        f" {_fill((palette.light, palette.bright)[(n + chance[1]) % 2], 0.9)}/>"
        for n in range(4)
    )
    band = (
        f'<rect x="{x:.0f}" y="{top:.0f}" width="{width:.0f}" height="{height:.0f}"'
        f" {_fill(palette.deep)}/>"
    )
    rotation = f"rotate({tilt:.0f} {canvas.width / 2:.0f} {canvas.height * 0.32:.0f})"
    return f'<g transform="{rotation}">{band}{pictures}{holes}</g>'


COMPOSITIONS: tuple[Composition, ...] = (
    draw_moon,
    draw_rays,
    draw_rings,
    draw_city,
    draw_waves,
    draw_blinds,
    draw_facets,
    draw_frames,
)
