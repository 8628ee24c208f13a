"""The second factor of an account, and signing in with it."""

from __future__ import annotations

from typing import Annotated

import strawberry

from graph.accounts.accounts import AuthPayload
from graph.base.devices import DeviceInput
from graph.base.extension import extend
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.payloads import AcknowledgePayload, acknowledge, build_payload, payload
from graph.base.roots import Mutation
from models import Role
from resolvers.accounts import second_factor, sign_in


@strawberry.input(description="The password that confirms the change.")
class EnrollSecondFactorInput:
    password: str = strawberry.field(description="The account's current password.")


@payload("Result of enrolling a second factor; `errors` says why it failed.")
class EnrollSecondFactorPayload:
    secret: str | None = plain(
        "The secret in base32, to type into an authenticator. It cannot be shown again. Null on "
        "failure."
    )
    uri: str | None = plain(
        "The secret as an `otpauth:` address, to show as a QR code. Null on failure."
    )


@strawberry.input(description="A code of the authenticator.")
class ConfirmSecondFactorInput:
    code: str = strawberry.field(description="The six digits that the authenticator shows.")


@payload("Result of confirming a second factor; `errors` says why it failed.")
class ConfirmSecondFactorPayload:
    recovery_codes: list[str] | None = plain(
        "Ten codes that each work once in place of the authenticator's. They cannot be shown "
        "again. Null on failure."
    )


@strawberry.input(description="The password and a code that confirm the removal.")
class RemoveSecondFactorInput:
    password: str = strawberry.field(description="The account's current password.")
    code: str = strawberry.field(description="A code of the authenticator, or a recovery code.")


@strawberry.input(description="The challenge of a sign-in, and a code.")
class AnswerSignInChallengeInput:
    token: str = strawberry.field(description="The challenge's token, from `login`.")
    code: str = strawberry.field(description="A code of the authenticator, or a recovery code.")
    device: DeviceInput | None = strawberry.field(
        default=None, description="The device to list the session under; null for none."
    )


async def _enroll(
    info: Info,
    input: Annotated[
        EnrollSecondFactorInput, strawberry.argument(description="The current password.")
    ],
) -> EnrollSecondFactorPayload:
    call = second_factor.enroll(info.context, input.password)
    return await build_payload(EnrollSecondFactorPayload, call)


async def _confirm(
    info: Info,
    input: Annotated[
        ConfirmSecondFactorInput, strawberry.argument(description="A code of the authenticator.")
    ],
) -> ConfirmSecondFactorPayload:
    call = second_factor.confirm(info.context, input.code)
    return await build_payload(ConfirmSecondFactorPayload, call)


async def _remove(
    info: Info,
    input: Annotated[
        RemoveSecondFactorInput, strawberry.argument(description="The password and a code.")
    ],
) -> AcknowledgePayload:
    return await acknowledge(second_factor.remove(info.context, input.password, input.code))


async def _answer(
    info: Info,
    input: Annotated[
        AnswerSignInChallengeInput, strawberry.argument(description="The challenge and a code.")
    ],
) -> AuthPayload:
    call = sign_in.answer_challenge(
        info.context,
        input.token,
        input.code,
        device=input.device.device() if input.device else None,
    )
    return await build_payload(AuthPayload, call)


@extend(Mutation)
class SecondFactorMutation:
    enroll_second_factor: EnrollSecondFactorPayload | None = resolver(
        _enroll,
        "Makes a secret for an authenticator (TOTP, RFC 6238). It is in force once "
        "`confirmSecondFactor` has a code of it.",
        requires=Role.USER,
        is_exclusive=True,
    )
    confirm_second_factor: ConfirmSecondFactorPayload | None = resolver(
        _confirm,
        "Puts the enrolled second factor in force: from then on signing in needs a code.",
        requires=Role.USER,
        is_exclusive=True,
    )
    remove_second_factor: AcknowledgePayload | None = resolver(
        _remove, "Removes the second factor.", requires=Role.USER, is_exclusive=True
    )
    answer_sign_in_challenge: AuthPayload | None = resolver(
        _answer, "Completes a sign-in that needs a second factor.", is_exclusive=True
    )
