"""Proof that all servers do the same work: equal JSON for the same request, and no errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.client import send
from bench.items import Item
from bench.running import Running

_SAMPLES = 12


@dataclass(frozen=True)
class Answers:
    data: list[Any]
    mean_bytes: float


@dataclass(frozen=True)
class Problem:
    """A server that fails an item, or answers otherwise than the first one does."""

    server: Running
    item: Item
    text: str

    def __str__(self) -> str:
        return f"{self.server.name}, {self.item.name}: {self.text}"


def check(servers: Sequence[Running], chosen: Sequence[Item], sequence: int) -> list[Problem]:
    """What differs; empty when all is well."""
    problems: list[Problem] = []
    for item in chosen:
        reference: tuple[str, Answers] | None = None
        for server in servers:
            if item.name not in server.requests:
                continue
            try:
                server.renew(item)
                given = answers(server, item, sequence)
            except ValueError as error:
                problems.append(Problem(server, item, str(error)))
                continue
            if reference is None:
                reference = (server.name, given)
            elif where := difference(reference[1].data, given.data):
                problems.append(Problem(server, item, f"not as {reference[0]}: {where}"))
    return problems


def answers(server: Running, item: Item, sequence: int) -> Answers:
    """The `data` of the first and some later requests of this item.

    Raises:
        ValueError: a status or `errors` that should not be there.
    """
    requests = server.requests[item.name]
    step = max(1, len(requests) // _SAMPLES)
    data: list[Any] = []
    sizes: list[int] = []
    for number, request in enumerate(requests[::step][:_SAMPLES]):
        response = send(server.port, request.at(sequence + number))
        sizes.append(len(response.body))
        if item.is_conditional:
            data.append(response.status)
            continue
        answer = response.json()
        if response.status != 200 or "errors" in answer:
            raise ValueError(f"HTTP {response.status}: {str(answer)[:300]}")
        data.append(answer["data"])
    return Answers(data, sum(sizes) / len(sizes))


def difference(expected: Any, actual: Any, path: str = "data") -> str | None:
    """Where two answers first differ; numbers are equal by value, 25 and 25.0 alike."""
    if isinstance(expected, dict) and isinstance(actual, dict) and expected.keys() == actual.keys():
        pairs = [(expected[key], actual[key], f"{path}.{key}") for key in expected]
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = [
            (*both, f"{path}[{at}]") for at, both in enumerate(zip(expected, actual, strict=True))
        ]
    else:
        return (
            None if expected == actual else f"{path}: {str(expected)[:120]} / {str(actual)[:120]}"
        )
    differences = (difference(*pair) for pair in pairs)
    return next((where for where in differences if where), None)
