"""The open sockets of this process, by address and by viewer, and their limits.

Follows revocations while a viewer is signed in here, and ends that viewer's sockets at once. Every
process counts for itself: limits are per process.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from resolvers.context import Viewer
from server.graphql.messages import Closed
from services.accounts.revocations import Revocation, RevocationKind, Revocations
from services.limits.address_prefixes import group_address
from services.settings.settings import Settings

_BURST_SECONDS = 4.0


class Member(Protocol):
    """An open socket."""

    def end(self, closed: Closed) -> None:
        """End it soon; returns at once."""


class OpenSockets:
    """The open sockets of this process."""

    def __init__(self, settings: Settings, revocations: Revocations) -> None:
        self._per_address = settings.sockets_per_address
        self._per_viewer = settings.sockets_per_viewer
        self._revocations = revocations
        self._addresses: Counter[str] = Counter()
        self._signed_in: dict[str, dict[Member, Viewer]] = {}  # by user
        self._logins: dict[str, set[Member]] = {}
        self._unsubscribe: Callable[[], None] | None = None

    @contextmanager
    def count_socket(self, address: str | None) -> Iterator[bool]:
        """Whether the address may have one more socket, which is counted while this lasts."""
        key = group_address(address)
        if self._addresses[key] >= self._per_address:
            yield False
            return
        self._addresses[key] += 1
        try:
            yield True
        finally:
            self._addresses[key] -= 1
            if not self._addresses[key]:
                del self._addresses[key]

    def sign_in(self, member: Member, viewer: Viewer) -> None:
        """Register a socket's viewer, or its renewed token.

        Raises:
            Closed: the viewer has too many sockets, or was signed out meanwhile.
        """
        if self._revocations.is_revoked(viewer):
            raise Closed(4403, "Signed out")
        members = self._signed_in.setdefault(viewer.user_id, {})
        if len(members) >= self._per_viewer and member not in members:
            raise Closed(4429, f"At most {self._per_viewer} sockets at once")
        if member in members:  # with a new token, perhaps of another sign-in
            self.sign_out(member, members[member])
            members = self._signed_in.setdefault(viewer.user_id, {})
        members[member] = viewer
        self._logins.setdefault(viewer.login_id, set()).add(member)
        if self._unsubscribe is None:
            self._unsubscribe = self._revocations.subscribe(self._on_revocation)

    def sign_out(self, member: Member, viewer: Viewer) -> None:
        """Remove a socket from its viewer's."""
        members = self._signed_in.get(viewer.user_id, {})
        previous = members.pop(member, None)
        if not members:
            self._signed_in.pop(viewer.user_id, None)
        if previous is not None:
            of_login = self._logins.get(previous.login_id, set())
            of_login.discard(member)
            if not of_login:
                self._logins.pop(previous.login_id, None)
        if not self._signed_in and self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None

    def _on_revocation(self, revocation: Revocation) -> None:
        for member in self._affected_members(revocation):
            member.end(Closed(4403, "Signed out"))

    def _affected_members(self, revocation: Revocation) -> list[Member]:
        if revocation.kind is not RevocationKind.USER:
            return list(self._logins.get(revocation.subject, ()))
        members = self._signed_in.get(revocation.subject, {})
        return [one for one, viewer in members.items() if viewer.issued_at <= revocation.at]


class MessageBucket:
    """A token bucket of one socket's messages: a rate per second, some seconds' worth at once."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._capacity = max(1.0, per_second * _BURST_SECONDS)
        self._tokens = self._capacity
        self._clock = asyncio.get_running_loop().time
        self._filled_at = self._clock()

    def take(self) -> None:
        """Take one token.

        Raises:
            Closed: the bucket is empty.
        """
        now = self._clock()
        self._tokens = min(
            self._capacity, self._tokens + (now - self._filled_at) * self._per_second
        )
        self._filled_at = now
        if self._tokens < 1:
            raise Closed(4429, "Too many messages")
        self._tokens -= 1
