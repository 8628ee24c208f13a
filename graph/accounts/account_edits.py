"""What people change about their account, and what codes in mails do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import strawberry

import models
from graph.accounts.accounts import Viewer
from graph.accounts.preferences import UpdateProfileInput
from graph.base.errors import UserError
from graph.base.fields import plain, resolver
from graph.base.info import Info
from graph.base.payloads import (
    Acknowledgement,
    AcknowledgePayload,
    acknowledge,
    capture_user_errors,
)
from graph.base.scalars import EmailAddress
from models import Role
from resolvers.accounts import mail_tokens, profile
from services import errors


@strawberry.type(description="The viewer after a change, or why there was none.")
class ViewerPayload:
    viewer: Viewer | None = plain("The viewer; null if it failed, or if nobody is signed in.")
    errors: list[UserError] = plain("Why it failed; empty if it did not.")


@dataclass(frozen=True, slots=True)
class ViewerAnswer:
    viewer: models.UserRecord | None
    errors: list[errors.UserError]


@strawberry.input(description="Whose mail is meant.")
class EmailInput:
    email: EmailAddress = strawberry.field(description="The address, in any case of letters.")


@strawberry.input(description="The proof of an address.")
class VerifyEmailInput:
    token: str = strawberry.field(description="The code from the mail.")


@strawberry.input(description="A new password for one forgotten.")
class ResetPasswordInput:
    token: str = strawberry.field(description="The code from the mail.")
    new_password: str = strawberry.field(
        description="12 characters to 1 KB, none of the common ones."
    )


@strawberry.input(description="A new password for a known one.")
class ChangePasswordInput:
    current_password: str = strawberry.field(description="The password until now.")
    new_password: str = strawberry.field(
        description="12 characters to 1 KB, none of the common ones."
    )


@strawberry.input(description="The proof that the owner wants it.")
class DeleteAccountInput:
    password: str = strawberry.field(description="The account's password.")


async def _verify_email(
    info: Info,
    input: Annotated[VerifyEmailInput, strawberry.argument(description="The code.")],
) -> ViewerAnswer:
    return ViewerAnswer(
        *await capture_user_errors(mail_tokens.verify_email(info.context, input.token))
    )


async def _resend_verification(
    info: Info, input: Annotated[EmailInput, strawberry.argument(description="The address.")]
) -> Acknowledgement:
    return await acknowledge(mail_tokens.resend_verification(info.context, input.email))


async def _request_password_reset(
    info: Info, input: Annotated[EmailInput, strawberry.argument(description="The address.")]
) -> Acknowledgement:
    return await acknowledge(mail_tokens.request_password_reset(info.context, input.email))


async def _reset_password(
    info: Info,
    input: Annotated[ResetPasswordInput, strawberry.argument(description="Code and password.")],
) -> Acknowledgement:
    call = mail_tokens.reset_password(info.context, input.token, input.new_password)
    return await acknowledge(call)


async def _change_password(
    info: Info,
    input: Annotated[ChangePasswordInput, strawberry.argument(description="Both passwords.")],
) -> Acknowledgement:
    call = profile.change_password(info.context, input.current_password, input.new_password)
    return await acknowledge(call)


async def _update_profile(
    info: Info,
    input: Annotated[UpdateProfileInput, strawberry.argument(description="What to change.")],
) -> ViewerAnswer:
    return ViewerAnswer(
        *await capture_user_errors(profile.update_profile(info.context, input.changes()))
    )


async def _delete_account(
    info: Info,
    input: Annotated[DeleteAccountInput, strawberry.argument(description="The password.")],
) -> Acknowledgement:
    return await acknowledge(profile.delete_account(info.context, input.password))


@strawberry.type
class AccountEditsMutation:
    verify_email: ViewerPayload = resolver(
        _verify_email, "Proves an address with the code that was mailed there; it works once."
    )
    resend_verification: AcknowledgePayload = resolver(
        _resend_verification,
        "Mails the code again, if the address has an account that is not proved; the answer is the "
        "same if not.",
    )
    request_password_reset: AcknowledgePayload = resolver(
        _request_password_reset,
        "Mails a code to set a new password with, if the address has an account; the answer is the "
        "same if not.",
    )
    reset_password: AcknowledgePayload = resolver(
        _reset_password,
        "Sets a new password with the code that was mailed, and ends all sign-ins.",
    )
    change_password: AcknowledgePayload = resolver(
        _change_password, "Sets a new password and ends all other sign-ins.", requires=Role.USER
    )
    update_profile: ViewerPayload = resolver(
        _update_profile, "Changes the viewer's name and preferences.", requires=Role.USER
    )
    delete_account: AcknowledgePayload = resolver(
        _delete_account,
        "Deletes the viewer's account, and then everything kept about the person.",
        requires=Role.USER,
    )
