"""Viewers who report without a pause and keep a log of their own of what was acknowledged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.processes import Served

BATCH = 10  # reports of one viewer in one request, run one after the other
DURATION_SECONDS = 170_000.0
SIGN_IN = """mutation ($email: EmailAddress!) { register(input: {
  email: $email, password: "correct horse battery", displayName: "Ada"
}) { tokens { accessToken } } }"""
START = """mutation ($id: ID!) {
  startPlayback(input: {playableId: $id, device: {key: "tv"}}) { session { id } } }"""
READ = "query ($id: ID!) { movie(by: {id: $id}) { progress { positionSeconds } } }"
_ONE = """r{i}: reportProgress(input: {{sessionId: $id, sequence: $n{i}, positionSeconds: $p{i},
  durationSeconds: $d}}) {{ applied progress {{ positionSeconds }} errors {{ code }} }}"""
REPORTS = "mutation ($id: ID!, $d: Float!, {}) {{ {} }}".format(
    ", ".join(f"$n{i}: Int!, $p{i}: Float!" for i in range(BATCH)),
    " ".join(_ONE.format(i=i) for i in range(BATCH)),
)


@dataclass(slots=True)
class Viewer:
    """One session in one film. Position equals sequence, so each report is told by its number."""

    film: str
    session: str
    token: str
    email: str
    acknowledged: int = 0  # every report up to this one was
    sent: int = 0
    requests_failed: int = 0
    refused: int = 0

    async def watch(self, served: Served, stop: asyncio.Event) -> None:
        while not stop.is_set():
            numbers = range(self.acknowledged + 1, self.acknowledged + 1 + BATCH)
            self.sent = max(self.sent, numbers[-1])
            try:
                answers = await self._report(served, numbers)
            except (httpx.TransportError, json.JSONDecodeError):
                self.requests_failed += 1  # nobody there, or gone in the midst of it
                await asyncio.sleep(0.05)
                continue
            self._take(numbers, answers)

    async def _report(self, served: Served, numbers: Sequence[int]) -> list[dict[str, Any]]:
        variables: dict[str, Any] = {"id": self.session, "d": DURATION_SECONDS}
        for i, number in enumerate(numbers):
            variables |= {f"n{i}": number, f"p{i}": float(number)}
        _, body = await served.graphql(REPORTS, variables, self.token)
        data = body.get("data") or {}
        return [data.get(f"r{i}") or {} for i in range(len(numbers))]

    def _take(self, numbers: Sequence[int], answers: list[dict[str, Any]]) -> None:
        """A yes is one without errors whose progress is at least what was reported."""
        for number, answer in zip(numbers, answers, strict=True):
            if not answer or answer["errors"]:
                self.refused += 1
                return
            position = answer["progress"]["positionSeconds"]
            assert answer["applied"] or position >= number, (number, answer)
            self.acknowledged = number


async def viewers(served: Served, people: int, films: int) -> list[Viewer]:
    """So many people, each with so many films begun."""
    _, body = await served.graphql(f"{{ movies(first: {films}) {{ nodes {{ id }} }} }}")
    titles = [one["id"] for one in body["data"]["movies"]["nodes"]]
    players = []
    for number in range(people):
        email = f"viewer{number}@example.org"
        _, body = await served.graphql(SIGN_IN, {"email": email})
        token = body["data"]["register"]["tokens"]["accessToken"]
        for film in titles:
            _, body = await served.graphql(START, {"id": film}, token)
            session = body["data"]["startPlayback"]["session"]["id"]
            players.append(Viewer(film, session, token, email))
    return players
