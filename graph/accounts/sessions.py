"""Sign-ins as their owner sees them, and signing out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import strawberry

from graph.base.devices import Device
from graph.base.errors import UserError
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.interfaces import Node
from graph.base.payloads import capture_user_errors
from graph.base.scalars import DateTime
from models import Role
from resolvers.accounts import sign_out
from services import errors


@strawberry.type(description="A sign-in that lives: one device of the viewer's.")
class AuthSession(Node):
    device: Device | None = plain("The device told at sign-in.")
    created_at: DateTime = plain("When it was signed in.")
    last_used_at: DateTime = plain("When its tokens were last renewed.")
    current: bool = plain("It is the one that asks.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, sign_out.Session)


async def _sessions(info: Info) -> list[sign_out.Session]:
    return await sign_out.sessions(info.context)


@strawberry.type
class ViewerSessions:
    """What the viewer gets from here."""

    sessions: list[AuthSession] | None = resolver(
        _sessions,
        "The viewer's sign-ins, last used first, at most 100; not for API keys.",
        requires=Role.USER,
        assumed_size=10,
    )


@strawberry.input(description="What to sign out; nothing of it means the sign-in that asks.")
class LogoutInput:
    session_id: strawberry.ID | None = strawberry.field(
        default=None, description="Another sign-in of the viewer's."
    )
    everywhere: bool | None = strawberry.field(
        default=False, description="All of the viewer's sign-ins, this one too."
    )


@strawberry.type(description="What was signed out.")
class LogoutPayload:
    revoked_sessions: int = plain("How many sign-ins ended.")
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@dataclass(frozen=True, slots=True)
class LogoutAnswer:
    revoked_sessions: int
    errors: list[errors.UserError]


async def _logout(
    info: Info,
    input: Annotated[
        LogoutInput | None, strawberry.argument(description="What to sign out.")
    ] = None,
) -> LogoutAnswer:
    target = input or LogoutInput()
    call = sign_out.logout(info.context, target.session_id, everywhere=bool(target.everywhere))
    ended, failed = await capture_user_errors(call)
    return LogoutAnswer(ended or 0, failed)


@strawberry.type
class SessionsMutation:
    logout: LogoutPayload = resolver(
        _logout,
        "Ends sign-ins and their access tokens, everywhere within a second.",
        requires=Role.USER,
    )
