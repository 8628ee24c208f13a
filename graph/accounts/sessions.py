"""Sessions as their owner sees them, and signing out."""

from __future__ import annotations

from typing import Annotated

import strawberry

from graph.base.devices import Device
from graph.base.extension import extend
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.node import Node, node_type
from graph.base.payloads import build_payload, payload
from graph.base.roots import Mutation
from graph.base.scalars import DateTime
from models import Role
from resolvers.accounts import sign_out


@node_type(
    "login",
    sign_out.Session,
    sign_out.sessions_by_id,
    "An active session of the viewer: one sign-in on one device.",
)
class AuthSession(Node):
    device: Device | None = plain("The device named at sign-in; null if none was.")
    created_at: DateTime = plain("When the session started.")
    last_used_at: DateTime = plain("When the session's tokens were last refreshed.")
    current: bool = plain("Whether this request belongs to the session.")


async def _sessions(info: Info) -> list[sign_out.Session]:
    return await sign_out.sessions(info.context)


@strawberry.type
class ViewerSessions:
    """Fields of Viewer about sessions."""

    sessions: list[AuthSession] | None = resolver(
        _sessions,
        "The viewer's active sessions, last used first, at most 100. Fails "
        "if the request uses an API key.",
        requires=Role.USER,
        assumed_size=10,
    )


@strawberry.input(description="Sessions to end. Empty: the current session.")
class LogoutInput:
    session_id: strawberry.ID | None = strawberry.field(
        default=None, description="Id of one of the viewer's sessions."
    )
    everywhere: bool | None = strawberry.field(
        default=False,
        description="Whether to end every session of the viewer, the current one included.",
    )


@payload(
    "Result of ending sessions; `errors` says why it failed.", defaults={"revoked_sessions": 0}
)
class LogoutPayload:
    revoked_sessions: int = plain("How many sessions ended; 0 on failure.")


async def _logout(
    info: Info,
    input: Annotated[
        LogoutInput | None,
        strawberry.argument(description="The sessions to end; without it, the current one."),
    ] = None,
) -> LogoutPayload:
    target = input or LogoutInput()
    call = sign_out.logout(info.context, target.session_id, everywhere=bool(target.everywhere))
    return await build_payload(LogoutPayload, call)


@extend(Mutation)
class SessionsMutation:
    logout: LogoutPayload | None = resolver(
        _logout,
        "Ends sessions. Their access tokens stop working everywhere within a second.",
        requires=Role.USER,
    )
