"""Accounts as clients see them: the viewer, and the mutations that sign in."""

from __future__ import annotations

from typing import Annotated

import strawberry

import models
from graph.accounts.api_keys import ViewerApiKeys
from graph.accounts.preferences import Preferences
from graph.accounts.sessions import ViewerSessions
from graph.accounts.tiers import AccountTier
from graph.base.devices import DeviceInput
from graph.base.extension import extend
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.node import Node, node_type
from graph.base.payloads import build_payload, payload
from graph.base.roots import Mutation, Query
from graph.base.scalars import DateTime, EmailAddress
from resolvers.accounts import sign_in


@node_type(
    "user",
    models.UserRecord,
    sign_in.own_account,
    "The signed-in user. Only the user sees this type.",
)
class Viewer(ViewerSessions, ViewerApiKeys, Node):
    email: EmailAddress = plain("The sign-in e-mail address, in lower case.")
    email_verified: bool = plain("Whether the e-mail address is verified.")
    display_name: str = plain("The display name.")
    role: models.Role = plain("The viewer's role.")
    tier: AccountTier = plain("The viewer's subscription tier.")
    second_factor_at: DateTime | None = plain(
        "When the account got its second factor; null without one."
    )
    preferences: Preferences = plain(
        "Playback and language preferences.", child_projection="preferences"
    )
    created_at: DateTime = plain("When the account was created.")


@strawberry.type(description="Access and refresh tokens.")
class AuthTokens:
    access_token: str | None = plain(
        "Token to send with every request as `Authorization: Bearer <accessToken>`. Null for a "
        "browser that keeps it in a cookie."
    )
    expires_in_seconds: int = plain("Seconds until the access token expires, such as 900.")
    refresh_token: str | None = plain(
        "Single-use token for `refreshTokens`; using it twice ends the "
        "session. Null for a browser that keeps it in a cookie."
    )
    device_token: str | None = plain(
        "Token to send with the next `login` from this device; it opens nothing, but keeps wrong "
        "passwords of others from locking this device out. Null after `refreshTokens`, and for a "
        "browser that keeps it in a cookie."
    )


@strawberry.type(description="A sign-in that needs a code of the account's second factor.")
class SignInChallenge:
    token: str = plain("Token to send with the code to `answerSignInChallenge`.")
    expires_in_seconds: int = plain("Seconds until the challenge expires, such as 300.")


@payload("Result of signing in; `errors` says why it failed.")
class AuthPayload:
    tokens: AuthTokens | None = plain(
        "The new tokens; null on failure, with a challenge, or if the e-mail address must be "
        "verified first."
    )
    viewer: Viewer | None = plain(
        "The signed-in user; null on failure, with a challenge, or if the e-mail address must be "
        "verified first."
    )
    challenge: SignInChallenge | None = plain(
        "What is still needed from an account with a second factor; null otherwise."
    )


@strawberry.input(description="The details of a new account.")
class RegisterInput:
    email: EmailAddress = strawberry.field(
        description="The sign-in e-mail address, case-insensitive and unique to one account."
    )
    password: str = strawberry.field(
        description="The password: 12 characters to 1 KB; not a common one, the address "
        "or the name."
    )
    display_name: str = strawberry.field(description="The display name: 1 to 80 characters.")
    device: DeviceInput | None = strawberry.field(
        default=None, description="The device to list the session under; null for none."
    )


@strawberry.input(description="Sign-in credentials.")
class LoginInput:
    email: EmailAddress = strawberry.field(
        description="The account's e-mail address, case-insensitive."
    )
    password: str = strawberry.field(description="The account's password.")
    device: DeviceInput | None = strawberry.field(
        default=None, description="The device to list the session under; null for none."
    )
    device_token: str | None = strawberry.field(
        default=None, description="The `deviceToken` of an earlier sign-in on this device."
    )


@strawberry.input(description="The session to renew.")
class RefreshTokensInput:
    refresh_token: str | None = strawberry.field(
        default=None,
        description="The newest refresh token; null if the browser keeps it in a cookie.",
    )


async def _register(
    info: Info,
    input: Annotated[RegisterInput, strawberry.argument(description="The new account's details.")],
) -> AuthPayload:
    call = sign_in.register(
        info.context,
        email=input.email,
        password=input.password,
        display_name=input.display_name,
        device=input.device.device() if input.device else None,
    )
    return await build_payload(AuthPayload, call)


async def _login(
    info: Info,
    input: Annotated[LoginInput, strawberry.argument(description="The credentials.")],
) -> AuthPayload:
    call = sign_in.login(
        info.context,
        email=input.email,
        password=input.password,
        device=input.device.device() if input.device else None,
        device_token=input.device_token,
    )
    return await build_payload(AuthPayload, call)


async def _refresh_tokens(
    info: Info,
    input: Annotated[RefreshTokensInput, strawberry.argument(description="The refresh token.")],
) -> AuthPayload:
    return await build_payload(
        AuthPayload, sign_in.refresh_tokens(info.context, input.refresh_token)
    )


async def _viewer(info: Info) -> models.UserRecord | None:
    return await sign_in.viewer(info.context)


@extend(Query)
class AccountsQuery:
    viewer: Viewer | None = resolver(_viewer, "The signed-in user; null if nobody is signed in.")


@extend(Mutation)
class AccountsMutation:
    register: AuthPayload | None = resolver(
        _register,
        "Creates an account and signs it in. Where e-mail addresses must be "
        "verified first, `tokens` and `viewer` are null and a verification "
        "code is sent.",
        is_exclusive=True,
    )
    login: AuthPayload | None = resolver(
        _login,
        "Signs in with e-mail address and password. A failure does not "
        "reveal which of them is wrong.",
        is_exclusive=True,
    )
    refresh_tokens: AuthPayload | None = resolver(
        _refresh_tokens,
        "Exchanges a refresh token, which works once, for new tokens.",
        is_exclusive=True,
    )
