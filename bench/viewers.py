"""Signed-in viewers with a started playback each, for the reportProgress item.

Several, so that two reports of one session are hardly ever in flight at once: a server may ignore a
sequence number that arrives after a later one, and ignoring is cheaper than applying.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.client import ask
from bench.dataset import Dataset
from bench.items import Session
from bench.processes import BenchError

VIEWERS = 16

_REGISTER = """mutation Register($input: RegisterInput!) { register(input: $input) { \
tokens { accessToken } errors { code message } } }"""
_LOGIN = """mutation Login($input: LoginInput!) { login(input: $input) { \
tokens { accessToken } errors { code message } } }"""
_START = """mutation Start($input: StartPlaybackInput!) { startPlayback(input: $input) { \
session { id } errors { code message } } }"""
_STOP = """mutation Stop($input: StopPlaybackInput!) { stopPlayback(input: $input) { \
errors { code message } } }"""


@dataclass
class Viewer:
    token: str
    movie_id: str
    device_key: str
    session_id: str | None = None

    def playing(self, port: int) -> Session:
        """A session started now: one that is not heard of for a while expires between rounds."""
        if self.session_id:
            ask(port, _STOP, {"input": {"sessionId": self.session_id}}, self.token)
        device = {"key": self.device_key, "kind": "WEB"}
        variables = {"input": {"playableId": self.movie_id, "device": device}}
        payload = ask(port, _START, variables, self.token)["startPlayback"]
        if not payload.get("session"):
            raise BenchError(f"startPlayback refused: {payload['errors']}")
        started: str = payload["session"]["id"]
        self.session_id = started
        return Session(started, self.movie_id, {"authorization": f"Bearer {self.token}"})


def peer_sessions(dataset: Dataset) -> list[Session]:
    """Peers take any session id and no token."""
    films = dataset.movie_ids[:VIEWERS]
    return [Session(f"session_bench{number}", film) for number, film in enumerate(films)]


def sign_in(port: int, dataset: Dataset, login: str | None) -> list[Viewer]:
    """New accounts, or the given one ("email:password")."""
    films = dataset.movie_ids[:VIEWERS]
    if login:
        email, _, password = login.partition(":")
        return [_viewer(port, _LOGIN, {"email": email, "password": password}, films[0])]
    viewers: list[Viewer] = []
    for film in films:
        try:
            viewers.append(_viewer(port, _REGISTER, _account(), film))
        except BenchError:
            # Sign-up may be rationed per address; a few viewers are enough to go on.
            if len(viewers) < 2:
                raise
            break
    return viewers


def playing(port: int, viewers: Sequence[Viewer]) -> list[Session]:
    return [viewer.playing(port) for viewer in viewers]


def _account() -> dict[str, str]:
    name = secrets.token_hex(6)
    return {
        "email": f"bench-{name}@example.com",
        "password": secrets.token_urlsafe(24),
        "displayName": f"Bench {name}",
    }


def _viewer(port: int, text: str, account: dict[str, Any], movie_id: str) -> Viewer:
    (payload,) = ask(port, text, {"input": account}).values()
    if not payload.get("tokens"):
        raise BenchError(f"sign-in refused: {payload['errors']}")
    return Viewer(payload["tokens"]["accessToken"], movie_id, f"bench-{secrets.token_hex(4)}")
