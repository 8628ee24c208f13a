"""Where a process's time goes: a profiler's stacks, told by the layer of their innermost frame.

C code and the standard library have no layer of their own: they count for whoever called them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

OTHER = "sockets and loop"

# The first that matches a frame's path; read from the innermost frame outwards.
_PATTERNS: Mapping[str, str] = {
    "logs and metrics": r"/services/(telemetry/|access_log|logs?\.|metrics)|/server/operation_log"
    r"|/(structlog|logging|prometheus_client)/|/middleware/(request_)?(metrics|observe)",
    "limits": r"/services/(limits/|abuse|rate_limit|limit_|windows?|sliding|turns|throttl)"
    r"|/server/(rate_headers|middleware/(abuse|turn_away|limits))|/graph/(engine/)?(cost|limits)",
    "collector": "/server/garbage",
    "accounts": r"/services/(accounts/|tokens|token_|revocations)|/(jwt|cryptography)/",
    "MongoDB and records": r"/(pymongo|bson|beanie)/|/models/",
    "Redis": r"/(redis|hiredis)/|/services/(redis|playback|progress|viewing|scripts)",
    "loaders and cache": r"/(loaders|aiodataloader)[/.]|/services/(cache|brief_memory)",
    "resolvers and fields": r"/resolvers/"
    r"|/graph/(base|accounts|catalog|sources|playback|ops|fields|info|paging|payloads|progress)",
    "plan and documents": r"/(graph|graphql|strawberry)/",
    # What runs the loop is beneath everything, so it is no layer.
    "HTTP": r"/server/(?!__main__|serving|commands|processes)|/uvicorn/(?!server\.|main\.)"
    r"|/(starlette|starlette_compress|httptools|h11|anyio)/",
}
LAYERS = (*_PATTERNS, OTHER)
_COMPILED = [(layer, re.compile(pattern)) for layer, pattern in _PATTERNS.items()]
_WAITING = re.compile(r"(wait|select|_worker) \(.*/(threading|selectors|futures/thread)\.py")
_PATH = re.compile(r"\((.*?)(:\d+)?\)$")


def count_layers(lines: Iterable[str]) -> Counter[str]:
    """Samples of each layer, without threads that wait.

    Args:
        lines: as `py-spy record --format raw --full-filenames` writes them: frames from the
            outermost to the innermost, `;` between, then a space and the number of samples.
    """
    samples: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        frames = stack.split(";")
        if stack and not _WAITING.search(frames[-1]):
            samples[layer_of(frames)] += int(count)
    return samples


def layer_of(frames: list[str]) -> str:
    """The layer of the innermost frame that has one."""
    for frame in reversed(frames):
        match = _PATH.search(frame)
        layer = _layer_of_path(match[1]) if match else None
        if layer:
            return layer
    return OTHER


def _layer_of_path(path: str) -> str | None:
    # Packages are named after their folder; the folders above it are anybody's.
    _, packages, inside = path.rpartition("site-packages")
    matches = (layer for layer, pattern in _COMPILED if pattern.search(inside))
    is_standard_library = "/lib/python3" in path and not packages
    return None if is_standard_library else next(matches, None)


def spend(samples: Mapping[str, int], cpu_ms: float) -> dict[str, float]:
    """CPU-ms of each layer, of so many per request altogether, in the order of LAYERS."""
    total = sum(samples.values()) or 1
    return {layer: cpu_ms * samples.get(layer, 0) / total for layer in LAYERS}
