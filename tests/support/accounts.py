"""What the tests of accounts share: a clock, people who signed in, and the mails they got."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import models
from resolvers.accounts import api_keys, sign_in
from resolvers.accounts.authentication import authenticate
from resolvers.accounts.mail_requests import send_next
from resolvers.accounts.sign_in import SignInResult
from resolvers.context import Context, Runtime
from services.accounts.mail import Mail
from services.accounts.passwords import Passwords
from services.errors import MailFailed
from tests.support.clock import Clock
from tests.support.runtimes import with_changes
from workers.send_mail import send_mail

EMAIL = "ada@example.org"
PASSWORD = "correct horse battery"
NEW_PASSWORD = "zebra lamp cactus"
START = 1_800_000_000.0
_CODE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass
class RecordingMailer:
    """A mail server's place: keeps what it gets, or fails as it is told."""

    is_on: bool = True
    failure: MailFailed | None = None
    mails: list[Mail] = field(default_factory=list)

    async def send(self, mail: Mail) -> None:
        if self.failure is not None:
            raise self.failure
        self.mails.append(mail)

    @property
    def codes(self) -> list[str]:
        """In the order they were mailed."""
        return [code for mail in self.mails for code in _CODE.findall(mail.text)]

    @property
    def subjects(self) -> list[str]:
        return [f"{mail.to}: {mail.subject}" for mail in self.mails]


@asynccontextmanager
async def open_cheap_runtime(runtime: Runtime, **settings: Any) -> AsyncIterator[Runtime]:
    """With a clock of the test's, passwords that cost little, mails that are kept."""
    passwords = Passwords(memory_kib=64, passes=1)
    yield with_changes(
        runtime,
        clock=Clock(),
        accounts={"passwords": passwords, "mailer": RecordingMailer()},
        settings=runtime.settings.model_copy(update=settings),
    )
    passwords.close()


def clock_of(context: Context) -> Clock:
    assert isinstance(context.runtime.clock, Clock)
    return context.runtime.clock


def mails_of(context: Context) -> RecordingMailer:
    assert isinstance(context.runtime.accounts.mailer, RecordingMailer)
    return context.runtime.accounts.mailer


async def send_pending_mails(context: Context) -> RecordingMailer:
    """What has been mailed, in the order it was asked for, once the worker came by."""
    while await send_next(context.runtime):  # one by one: the worker sends some at once
        pass
    await send_mail(context.runtime)
    return mails_of(context)


def next_operation(context: Context, **changes: Any) -> Context:
    """Another operation of the same client."""
    return dataclasses.replace(context.for_event(), **changes)


async def register_account(context: Context, email: str = EMAIL) -> Context:
    """Somebody signed in, ready for another operation; the mail about it is not sent."""
    signed_in = await sign_in.register(context, email=email, password=PASSWORD, display_name="Ada")
    assert signed_in is not None
    await models.MailRequest.get_pymongo_collection().delete_many({})
    return await sign_in_as(context, signed_in)


async def sign_in_as(context: Context, signed_in: SignInResult) -> Context:
    viewer = await authenticate(context.runtime, bearer(signed_in))
    return next_operation(context, viewer=viewer)


async def log_in(context: Context, email: str = EMAIL, password: str = PASSWORD) -> Context:
    """The same person on another device."""
    signed_in = await sign_in.login(
        next_operation(context, viewer=None), email=email, password=password
    )
    return await sign_in_as(context, signed_in)


async def create_key(
    context: Context, password: str = PASSWORD, **options: Any
) -> api_keys.NewApiKey:
    """A key of who is signed in."""
    return await api_keys.create_api_key(next_operation(context), "script", password, **options)


def bearer(signed_in: SignInResult) -> str:
    return f"Bearer {signed_in.tokens.access_token}"


async def read_stored(document: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = await document.get_pymongo_collection().find({}).to_list(None)
    return rows


async def read_account() -> dict[str, Any]:
    (user,) = await read_stored(models.User)
    return user
