"""Requests no client means: valid operations, then bent in their text, variables and form.

The same seed makes the same request, whatever was made before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urlencode

from tests.support.execution.document_generator import Generator

_KINDS = ("query",) * 6 + ("mutation",) * 4 + ("subscription",)
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\.\.\.|\w+|[^\s\w]')
_OWN_NAMES = re.compile(r"(?<![\w.])(F\d|Asked|Other)\b|(?<=\.\.\.)(F\d)\b")
_INSERTED = (
    *("null", "[null]", "{}", "[]", "[[]]", "-1", "2147483648", "1e400", '""', '"x"', "true"),
    *("ON", "$v0", "$none", "...", "...F0", "{ id }", "{", "}", "(", ")", ":", "!", "@", "&"),
    *("@skip(if: null)", "@include(if: $v0)", "@skip(if: [true])", "@skip", "@none", "@oneOf"),
    *("@defer", "@stream(initialCount: 1)", "__typename", "__schema { types { name } }"),
    *("fragment F0 on Query { ...F0 }", "query { __typename }", "subscription { liveMetrics }"),
    *('"""block"""', "# comment\n", "\ufeff", "\u2028", "e\u0301", "\x00", "\\u{1F600}"),
)
_JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, -(2**31) - 1, 2**53, 2**63, 0.5, 1e300, -0.0, 1e-300),
    *("", " ", "x", "null", "true", "0", "\x00", "\u2028", "\U0001f600", "x" * 300, "$where"),
    *("movie_1", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2024-02-30", "http://["),
    *([], [None], [[]], [None, None, 1], [True], ["x", None], [{}], {}, {"": None}, {"$gt": ""}),
    *({"id": None}, {"id": []}, {"__proto__": {}}, {"first": [1]}, [[[[["x"]]]]], {"a": {"b": []}}),
)
_MEDIA_TYPES = (
    *(None, "*/*", "application/json", "application/graphql-response+json"),
    *("text/html", "application/json;q=0", "application/*;q=x, */*;q=0.1"),
)
_CONTENT_TYPES = ("application/json",) * 60 + ("application/json; charset=utf-8", "text/plain", "")
_URL_CHARACTERS = 15_000


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request to /graphql; `target` has the query string."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""

    @property
    def text(self) -> str:
        """All of it that an answer may repeat."""
        return f"{self.method} {self.target} {dict(self.headers)} {self.content!r}"


@dataclass(frozen=True, slots=True)
class Fuzzer:
    """`generator` writes the valid operations that requests are bent from."""

    generator: Generator

    def request(self, seed: int) -> HttpRequest:
        """Build the request of a seed."""
        dice = Random(f"fuzz {seed}")
        text, variables, names = self._document(dice)
        payload: dict[str, Any] = {"query": text}
        if dice.random() < 0.95:
            payload["variables"] = _bend_variables(dice, variables)
        if len(names) > 1 or dice.random() < 0.3:
            payload["operationName"] = _operation_name(dice, names)
        if dice.random() < 0.1:
            payload["extensions"] = _extensions(dice)
        if dice.random() < 0.3:
            payload["onError"] = dice.choice(("NULL", "PROPAGATE", "HALT"))
        if dice.random() < 0.03:
            payload["onError"] = dice.choice(_JUNK)
        if dice.random() < 0.02:
            payload[dice.choice(list(payload))] = dice.choice(_JUNK)
        if dice.random() < 0.02:
            payload["documentId"] = dice.choice((*_JUNK, "0" * 64, "sha256:" + "f" * 64))
        return _wrap(dice, payload)

    def _document(self, dice: Random) -> tuple[str, dict[str, Any], list[str]]:
        """Write one to three operations into one document, each with fragments of its own."""
        texts, variables, names = [], {}, []
        for number in range(dice.choice((1, 1, 1, 2, 3))):
            made = self.generator.make(dice, dice.choice(_KINDS))
            suffix = f"x{number}" if number else ""
            texts.append(_OWN_NAMES.sub(lambda found, own=suffix: found[0] + own, made.text))
            names.append(f"Asked{suffix}")
            variables.update(made.variables)
        return _bend_text(dice, "\n".join(texts)), variables, names


def _bend_text(dice: Random, text: str) -> str:
    """Leave most texts as they are; else exchange, repeat, drop or insert a few tokens."""
    if dice.random() < 0.65:
        return text
    tokens = _TOKEN.findall(text)
    for _ in range(dice.randrange(1, 4)):
        dice.choice((_insert, _replace, _replace, _repeat, _drop, _exchange))(dice, tokens)
    return " ".join(tokens)


def _insert(dice: Random, tokens: list[str]) -> None:
    tokens.insert(dice.randrange(len(tokens) + 1), dice.choice(_INSERTED))


def _replace(dice: Random, tokens: list[str]) -> None:
    if tokens:
        tokens[dice.randrange(len(tokens))] = dice.choice(_INSERTED)


def _repeat(dice: Random, tokens: list[str]) -> None:
    at = dice.randrange(len(tokens) + 1)
    tokens[at:at] = tokens[at : at + dice.randrange(1, 8)]


def _drop(dice: Random, tokens: list[str]) -> None:
    at = dice.randrange(len(tokens) + 1)
    del tokens[at : at + dice.choice((1, 1, 1, 2, 5))]


def _exchange(dice: Random, tokens: list[str]) -> None:
    if tokens:
        one, other = dice.randrange(len(tokens)), dice.randrange(len(tokens))
        tokens[one], tokens[other] = tokens[other], tokens[one]


def _bend_variables(dice: Random, variables: dict[str, Any]) -> Any:
    bent = dict(variables)
    if dice.random() < 0.4:
        for name in variables:
            if dice.random() < 0.3:
                bent[name] = _bend_value(dice, variables[name])
    if dice.random() < 0.1:
        bent[f"v{dice.randrange(8)}"] = dice.choice(_JUNK)
    if dice.random() < 0.05:
        bent.pop(dice.choice(list(bent)), None) if bent else None
    return bent


def _bend_value(dice: Random, value: Any) -> Any:
    """Another value: null, a list of it, junk, or junk somewhere within it."""
    roll = dice.random()
    if roll < 0.2:
        return None
    if roll < 0.4:
        return dice.choice(([value], [value, None], [[value]], [], {"value": value}))
    if isinstance(value, dict) and value and roll < 0.8:
        name = dice.choice(list(value))
        return {**value, name: _bend_value(dice, value[name])}
    if isinstance(value, list) and value and roll < 0.8:
        return [*value[1:], _bend_value(dice, value[0])]
    return dice.choice(_JUNK)


def _operation_name(dice: Random, names: list[str]) -> Any:
    if dice.random() < 0.9:
        return dice.choice(names)
    return dice.choice((None, "", "Nobody", "x" * 500, 1, [names[0]], {}, "\x00"))


def _extensions(dice: Random) -> Any:
    id_ = dice.choice((*_JUNK, "0" * 64))
    return dice.choice(
        (
            {"cache": True, "cost": True},
            {"cache": dice.choice(_JUNK), "cost": dice.choice(_JUNK)},
            {"persistedQuery": {"version": 1, "sha256Hash": id_}},
            {"persistedQuery": id_},
            id_,
        )
    )


def _wrap(dice: Random, payload: dict[str, Any]) -> HttpRequest:
    """Send it by POST, or by GET or HEAD where it fits into an address."""
    accept = dice.choice(_MEDIA_TYPES) if dice.random() < 0.1 else None
    headers = {"accept": accept} if accept is not None else {}
    if dice.random() < 0.35:
        pairs = {name: _as_parameter(name, value) for name, value in payload.items()}
        target = f"/graphql?{urlencode(pairs)}"
        if len(target) < _URL_CHARACTERS:
            return HttpRequest(dice.choice(("GET",) * 9 + ("HEAD",)), target, headers)
    headers["content-type"] = dice.choice(_CONTENT_TYPES)
    return HttpRequest("POST", "/graphql", headers, json.dumps(payload).encode())


def _as_parameter(name: str, value: Any) -> str:
    if isinstance(value, str) and name not in ("variables", "extensions"):
        return value
    return json.dumps(value)
