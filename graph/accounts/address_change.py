"""Change of the viewer's e-mail address."""

from __future__ import annotations

from typing import Annotated

import strawberry

from graph.accounts.account_edits import ViewerPayload
from graph.base.extension import extend
from graph.base.fields import resolver
from graph.base.info import Info
from graph.base.payloads import AcknowledgePayload, acknowledge, build_payload
from graph.base.roots import Mutation
from graph.base.scalars import EmailAddress
from models import Role
from resolvers.accounts import address_change


@strawberry.input(description="The new address, and the password that confirms the change.")
class RequestEmailChangeInput:
    new_email: EmailAddress = strawberry.field(
        description="The new e-mail address, case-insensitive."
    )
    password: str = strawberry.field(description="The account's current password.")


@strawberry.input(description="The code from the e-mail to the new address.")
class ConfirmEmailChangeInput:
    token: str = strawberry.field(description="The code from the e-mail.")


async def _request(
    info: Info,
    input: Annotated[
        RequestEmailChangeInput, strawberry.argument(description="The address and the password.")
    ],
) -> AcknowledgePayload:
    call = address_change.request_email_change(info.context, input.new_email, input.password)
    return await acknowledge(call)


async def _confirm(
    info: Info,
    input: Annotated[
        ConfirmEmailChangeInput, strawberry.argument(description="The code from the e-mail.")
    ],
) -> ViewerPayload:
    call = address_change.confirm_email_change(info.context, input.token)
    return await build_payload(ViewerPayload, call)


@extend(Mutation)
class AddressChangeMutation:
    request_email_change: AcknowledgePayload | None = resolver(
        _request,
        "Sends a code to a new e-mail address for the account. The answer is the same if that "
        "address has an account.",
        requires=Role.USER,
        is_exclusive=True,
    )
    confirm_email_change: ViewerPayload | None = resolver(
        _confirm,
        "Gives the account the address that the code was sent to. Sessions stay; the old address "
        "gets a notice.",
        requires=Role.USER,
        is_exclusive=True,
    )
