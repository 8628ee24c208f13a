"""The picture of where a request's time goes: a bar a version, its layers, the item's floor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from bench.layers import LAYERS
from bench.tables import number

Bars = Mapping[str, Mapping[str, Mapping[str, float]]]  # item -> version -> layer -> CPU-ms

_COLOURS = (
    "#8c96a8", "#d9a441", "#5b6472", "#b07cc6", "#3f8f6b", "#d0543f",
    "#7fb069", "#4a86c5", "#274c77", "#e08e79", "#cfd4dc",
)  # fmt: skip
_WIDTH, _LEFT, _RIGHT = 860, 160, 70
_BAR, _GAP, _ITEM_GAP, _LEGEND = 18, 4, 20, 74
_FONT = "font-family='system-ui, sans-serif' font-size='12' fill='#1d2430'"


def draw(items: Bars, floors: Mapping[str, float]) -> str:
    """An SVG; bars of one item share a scale, as items differ a hundredfold."""
    parts, y = list(_legend()), _LEGEND
    for item, versions in items.items():
        most = max([*(sum(layers.values()) for layers in versions.values()), floors[item]])
        scale = (_WIDTH - _LEFT - _RIGHT) / most
        height = len(versions) * (_BAR + _GAP)
        for at, (version, layers) in enumerate(versions.items()):
            parts += _bar(item if at == 0 else "", version, layers, y + at * (_BAR + _GAP), scale)
        parts += _floor(_LEFT + floors[item] * scale, y, height)
        y += height + _ITEM_GAP
    size = f"viewBox='0 0 {_WIDTH} {y}' width='{_WIDTH}' height='{y}'"
    background = f"<rect width='{_WIDTH}' height='{y}' rx='8' fill='#ffffff'/>"
    head = f"<svg xmlns='http://www.w3.org/2000/svg' role='img' {size}>"
    title = "<title>CPU-ms of a request, by layer, before and now</title>"
    return "\n".join([head, title, background, *parts, "</svg>", ""])


def _legend() -> Iterator[str]:
    column = (_WIDTH - 24) / 4
    for at, layer in enumerate([*LAYERS, "floor"]):
        x, y = 16 + (at % 4) * column, 14 + (at // 4) * 18
        colour = _COLOURS[at] if at < len(LAYERS) else "#1d2430"
        width = 12 if at < len(LAYERS) else 2
        yield f"<rect x='{x:.0f}' y='{y}' width='{width}' height='12' fill='{colour}'/>"
        yield f"<text x='{x + 18:.0f}' y='{y + 10}' {_FONT}>{escape(layer)}</text>"


def _bar(
    item: str, version: str, layers: Mapping[str, float], y: float, scale: float
) -> Iterator[str]:
    middle = y + _BAR - 5
    yield f"<text x='16' y='{middle}' {_FONT} font-weight='600'>{escape(item)}</text>"
    yield f"<text x='{_LEFT - 8}' y='{middle}' {_FONT} text-anchor='end'>{escape(version)}</text>"
    x = float(_LEFT)
    for layer, colour in zip(LAYERS, _COLOURS, strict=True):
        width = layers.get(layer, 0) * scale
        if width >= 0.5:
            yield f"<rect x='{x:.1f}' y='{y}' width='{width:.1f}' height='{_BAR}' fill='{colour}'/>"
        x += width
    yield f"<text x='{x + 6:.0f}' y='{middle}' {_FONT}>{number(sum(layers.values()))}</text>"


def _floor(x: float, y: float, height: float) -> Iterator[str]:
    place = f"x='{x:.1f}' y='{y - 3:.0f}' width='2' height='{height + 2:.0f}'"
    yield f"<rect {place} fill='#1d2430'/>"
