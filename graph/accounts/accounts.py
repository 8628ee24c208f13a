"""Accounts as clients see them: the viewer, and the mutations that sign somebody in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import strawberry

import models
from graph.accounts.api_keys import ViewerApiKeys
from graph.accounts.preferences import Preferences
from graph.accounts.sessions import ViewerSessions
from graph.base.devices import DeviceInput
from graph.base.enums import describe_enum
from graph.base.errors import UserError
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.interfaces import Node
from graph.base.payloads import capture_user_errors
from graph.base.scalars import DateTime, EmailAddress
from graph.playback.history import ViewerPlayback
from graph.playback.progress import ViewerProgress
from graph.playback.watchlist import ViewerWatchlist
from resolvers.accounts import sign_in
from services import errors

describe_enum(
    models.AccountTier,
    "What an account has paid for.",
    {
        "FREE": "Nothing: the common limits.",
        "PREMIUM": "Higher limits and the best quality.",
        "API": "Programs: limits for machines.",
    },
)


@strawberry.type(description="The signed-in person, seen by nobody else.")
class Viewer(ViewerSessions, ViewerApiKeys, ViewerProgress, ViewerPlayback, ViewerWatchlist, Node):
    email: EmailAddress = plain("The address to sign in with, in lower case.")
    email_verified: bool = plain("The address was proved to be the viewer's own.")
    display_name: str = plain("The name shown to people.")
    role: models.Role = plain("What the viewer may do.")
    tier: models.AccountTier = plain("What the viewer has paid for.")
    preferences: Preferences = plain("What the viewer prefers.", child_projection="preferences")
    created_at: DateTime = plain("When the account was made.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        return isinstance(value, models.UserRecord)


@strawberry.type(description="What proves who asks.")
class AuthTokens:
    access_token: str = plain("Sent as `Authorization: Bearer ...` with every request.")
    expires_in_seconds: int = plain("How long the access token lives.")
    refresh_token: str | None = plain(
        "Exchanged once for new tokens by refreshTokens; used twice, it ends the sign-in. "
        "Null for a browser that keeps it in a cookie."
    )


@strawberry.type(description="Somebody signed in, or why not.")
class AuthPayload:
    tokens: AuthTokens | None = plain(
        "The new tokens; null if it failed, or if the address has to be proved first."
    )
    viewer: Viewer | None = plain("Who is signed in now; null if it failed.")
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@strawberry.input(description="A new account.")
class RegisterInput:
    email: EmailAddress = strawberry.field(
        description="The address to sign in with; one account each, in any case of letters."
    )
    password: str = strawberry.field(
        description="12 characters to 1 KB, none of the common ones, nor the address or the name."
    )
    display_name: str = strawberry.field(description="The name shown: 1 to 80 characters.")
    device: DeviceInput | None = strawberry.field(
        default=None, description="The device to remember the sign-in by."
    )


@strawberry.input(description="Who signs in, and the proof.")
class LoginInput:
    email: EmailAddress = strawberry.field(description="The account's address, in any case.")
    password: str = strawberry.field(description="The account's password.")
    device: DeviceInput | None = strawberry.field(
        default=None, description="The device to remember the sign-in by."
    )


@strawberry.input(description="The sign-in to continue.")
class RefreshTokensInput:
    refresh_token: str | None = strawberry.field(
        default=None, description="The refresh token last received; nothing, if it is in a cookie."
    )


@dataclass(frozen=True, slots=True)
class AuthAnswer:
    tokens: sign_in.Tokens | None
    viewer: models.UserRecord | None
    errors: list[errors.UserError]


def _answer(signed_in: sign_in.SignInResult | None, failed: list[errors.UserError]) -> AuthAnswer:
    if signed_in is None:
        return AuthAnswer(None, None, failed)
    return AuthAnswer(signed_in.tokens, signed_in.viewer, failed)


async def _register(
    info: Info,
    input: Annotated[RegisterInput, strawberry.argument(description="The new account.")],
) -> AuthAnswer:
    call = sign_in.register(
        info.context,
        email=input.email,
        password=input.password,
        display_name=input.display_name,
        device=input.device.device() if input.device else None,
    )
    return _answer(*await capture_user_errors(call))


async def _login(
    info: Info,
    input: Annotated[LoginInput, strawberry.argument(description="Who signs in.")],
) -> AuthAnswer:
    call = sign_in.login(
        info.context,
        email=input.email,
        password=input.password,
        device=input.device.device() if input.device else None,
    )
    return _answer(*await capture_user_errors(call))


async def _refresh_tokens(
    info: Info,
    input: Annotated[RefreshTokensInput, strawberry.argument(description="The token.")],
) -> AuthAnswer:
    return _answer(
        *await capture_user_errors(sign_in.refresh_tokens(info.context, input.refresh_token))
    )


async def _viewer(info: Info) -> models.UserRecord | None:
    return await sign_in.viewer(info.context)


@strawberry.type
class AccountsQuery:
    viewer: Viewer | None = resolver(_viewer, "Who asks, or null if nobody is signed in.")


@strawberry.type
class AccountsMutation:
    register: AuthPayload = resolver(
        _register,
        "Makes an account and signs it in; where addresses have to be proved first, all is null "
        "and a mail says how it goes on.",
    )
    login: AuthPayload = resolver(
        _login, "Signs somebody in; does not tell whether the address or the password is wrong."
    )
    refresh_tokens: AuthPayload = resolver(
        _refresh_tokens, "New tokens for a refresh token, which is used up by this."
    )
