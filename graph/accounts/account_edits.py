"""Mutations of the viewer's account, and those that take a code from an e-mail."""

from __future__ import annotations

from typing import Annotated

import strawberry

from graph.accounts.accounts import Viewer
from graph.accounts.preferences import UpdateProfileInput
from graph.base.extension import extend
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.payloads import AcknowledgePayload, acknowledge, build_payload, payload
from graph.base.roots import Mutation
from graph.base.scalars import EmailAddress
from models import Role
from resolvers.accounts import mail_tokens, profile


@payload("Result of a change to the account; `errors` says why it failed.")
class ViewerPayload:
    viewer: Viewer | None = plain(
        "The viewer after the change; null on failure, or if nobody is signed in."
    )


@strawberry.input(description="E-mail address of an account.")
class EmailInput:
    email: EmailAddress = strawberry.field(
        description="The account's e-mail address, case-insensitive."
    )


@strawberry.input(description="Verification code for an e-mail address.")
class VerifyEmailInput:
    token: str = strawberry.field(description="The verification code from the e-mail.")
    password: str | None = strawberry.field(
        default=None,
        description="The password chosen at registration. Without it, and without being signed in "
        "to the account, the code proves the address alone: where addresses must be verified "
        "before signing in, the account then has no password until `resetPassword`.",
    )


@strawberry.input(description="A reset code and the new password.")
class ResetPasswordInput:
    token: str = strawberry.field(description="The reset code from the e-mail.")
    new_password: str = strawberry.field(
        description="The new password: 12 characters to 1 KB, not a common one."
    )


@strawberry.input(description="The current and the new password.")
class ChangePasswordInput:
    current_password: str = strawberry.field(description="The current password.")
    new_password: str = strawberry.field(
        description="The new password: 12 characters to 1 KB, not a common one."
    )


@strawberry.input(description="The password that confirms the deletion.")
class DeleteAccountInput:
    password: str = strawberry.field(description="The account's current password.")


async def _verify_email(
    info: Info,
    input: Annotated[VerifyEmailInput, strawberry.argument(description="The verification code.")],
) -> ViewerPayload:
    call = mail_tokens.verify_email(info.context, input.token, input.password)
    return await build_payload(ViewerPayload, call)


async def _resend_verification(
    info: Info,
    input: Annotated[
        EmailInput, strawberry.argument(description="The address to send the e-mail to.")
    ],
) -> AcknowledgePayload:
    return await acknowledge(mail_tokens.resend_verification(info.context, input.email))


async def _request_password_reset(
    info: Info,
    input: Annotated[
        EmailInput, strawberry.argument(description="The address to send the e-mail to.")
    ],
) -> AcknowledgePayload:
    return await acknowledge(mail_tokens.request_password_reset(info.context, input.email))


async def _reset_password(
    info: Info,
    input: Annotated[
        ResetPasswordInput, strawberry.argument(description="The reset code and the new password.")
    ],
) -> AcknowledgePayload:
    call = mail_tokens.reset_password(info.context, input.token, input.new_password)
    return await acknowledge(call)


async def _change_password(
    info: Info,
    input: Annotated[
        ChangePasswordInput, strawberry.argument(description="The current and the new password.")
    ],
) -> AcknowledgePayload:
    call = profile.change_password(info.context, input.current_password, input.new_password)
    return await acknowledge(call)


async def _update_profile(
    info: Info,
    input: Annotated[UpdateProfileInput, strawberry.argument(description="The fields to change.")],
) -> ViewerPayload:
    return await build_payload(ViewerPayload, profile.update_profile(info.context, input.changes()))


async def _delete_account(
    info: Info,
    input: Annotated[
        DeleteAccountInput,
        strawberry.argument(description="The current password, as confirmation."),
    ],
) -> AcknowledgePayload:
    return await acknowledge(profile.delete_account(info.context, input.password))


@extend(Mutation)
class AccountEditsMutation:
    verify_email: ViewerPayload | None = resolver(
        _verify_email,
        "Verifies an e-mail address with the code that was sent to it. The code works once.",
        is_exclusive=True,
    )
    resend_verification: AcknowledgePayload | None = resolver(
        _resend_verification,
        "Sends a new verification code if the address has an unverified "
        "account. The answer is the same if it has none.",
        is_exclusive=True,
    )
    request_password_reset: AcknowledgePayload | None = resolver(
        _request_password_reset,
        "Sends a password reset code if the address has an account. The "
        "answer is the same if it has none.",
        is_exclusive=True,
    )
    reset_password: AcknowledgePayload | None = resolver(
        _reset_password,
        "Sets a new password with a reset code and ends every session of the account.",
        is_exclusive=True,
    )
    change_password: AcknowledgePayload | None = resolver(
        _change_password,
        "Sets a new password and ends every other session of the viewer.",
        requires=Role.USER,
        is_exclusive=True,
    )
    update_profile: ViewerPayload | None = resolver(
        _update_profile, "Changes the viewer's display name and preferences.", requires=Role.USER
    )
    delete_account: AcknowledgePayload | None = resolver(
        _delete_account,
        "Deletes the viewer's account, then all personal data stored for it.",
        requires=Role.USER,
        is_exclusive=True,
    )
