"""What a client accepts (RFC 9110, 12.5.1): one of two types of JSON, and event streams."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from server.graphql.replies import GRAPHQL_JSON, JSON, Refused

_PLAIN = ("application/json", "application/*", "*/*")  # the most telling first
_OWN = "application/graphql-response+json"
_EVENTS = "text/event-stream"
_DEFER_SPECS = ("", "20220824")


class PartFormat(Enum):
    """Format of an answer in parts, of operations with @defer or @stream."""

    PATHS = "v0.1"  # known as deferSpec=20220824, too, and the one of clients that name none
    PENDING = "v0.2"


class EventStreams(Enum):
    """When an answer is an event stream."""

    NEVER = 0
    IF_STREAMING = 1  # of a subscription: urql names all its types for every operation
    ALWAYS = 2


@dataclass(frozen=True, slots=True)
class Accepted:
    """The preferred type of JSON, which refusals have as well, and when it is not JSON."""

    content_type: bytes = JSON
    events: EventStreams = EventStreams.NEVER
    parts: PartFormat | None = None  # None: one part, the whole


ANYTHING = Accepted()


@lru_cache(maxsize=256)
def read_accept(accept: bytes | None) -> Accepted:
    """Read the header; without a preference `application/json`.

    Raises:
        Refused: 406, when the client accepts nothing that we have.
    """
    if not accept:
        return ANYTHING
    ranges = accept.decode("latin-1").lower().split(",")
    weights = dict(_parse_weight(part) for part in ranges)
    plain = next((weights[name] for name in _PLAIN if name in weights), 0.0)
    own, events = weights.get(_OWN, 0.0), weights.get(_EVENTS, 0.0)
    if not (plain or own or events):
        raise Refused(
            406,
            "We answer application/json, application/graphql-response+json or text/event-stream.",
        )
    content_type = GRAPHQL_JSON if own and own >= plain else JSON
    parts = next(filter(None, map(_read_part_format, ranges)), None)
    return Accepted(content_type, _when_events(events, max(plain, own)), parts)


def _read_part_format(part: str) -> PartFormat | None:
    name, weight = _parse_weight(part)
    if name != "multipart/mixed" or not weight:
        return None
    parameters = part.partition(";")[2]
    if read_parameter(parameters, "subscriptionspec"):
        return None
    version = read_parameter(parameters, "incrementalspec")
    if version:
        return next((one for one in PartFormat if one.value == version), None)
    return PartFormat.PATHS if read_parameter(parameters, "deferspec") in _DEFER_SPECS else None


def _when_events(weight: float, json_weight: float) -> EventStreams:
    if not weight:
        return EventStreams.NEVER
    return EventStreams.ALWAYS if weight > json_weight else EventStreams.IF_STREAMING


def _parse_weight(part: str) -> tuple[str, float]:
    name, _, parameters = part.partition(";")
    weight = read_parameter(parameters, "q")
    try:
        return name.strip(), float(weight) if weight else 1.0
    except ValueError:
        return name.strip(), 0.0


def read_parameter(parameters: str, name: str) -> str:
    """Read one parameter of `;`-separated ones, without quotes; empty without it."""
    for parameter in parameters.split(";"):
        key, _, value = parameter.partition("=")
        if key.strip() == name:
            return value.strip().strip('"')
    return ""
