"""Time does not tell whether an address has an account. What is done is compared exactly in
test_accounts.py and test_accounts_mail.py; here the clock is asked."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from statistics import median

import pytest

import models
from resolvers.accounts import mail_tokens, sign_in
from resolvers.context import Context, Runtime
from services.accounts.passwords import Passwords
from services.errors import InvalidCredentials
from tests.conftest import CountCommands
from tests.support.accounts import EMAIL, PASSWORD, RecordingMailer, next_operation
from tests.support.runtimes import with_changes

UNKNOWN = "eve@example.org"  # as long as the known one
TRIES = 200
MEASUREMENTS = 5  # a machine that is busy with something else may spoil some
Attempt = Callable[[Context, str], Awaitable[None]]


class CountedPasswords(Passwords):
    """At today's costs, and counting."""

    checked = 0

    async def verify(self, stored: str | None, password: str) -> bool:
        self.checked += 1
        return await super().verify(stored, password)


@pytest.fixture
async def guest(runtime: Runtime) -> AsyncIterator[Context]:
    # cheaper than in production, so that any other difference weighs more
    passwords = CountedPasswords(memory_kib=4096)
    context = Context(
        with_changes(runtime, accounts={"passwords": passwords, "mailer": RecordingMailer()})
    )
    assert await sign_in.register(context, email=EMAIL, password=PASSWORD, display_name="Ada")
    await models.MailRequest.get_pymongo_collection().delete_many({})
    yield context
    passwords.close()


async def wrong_sign_in(context: Context, email: str) -> None:
    with pytest.raises(InvalidCredentials):
        await sign_in.login(next_operation(context), email=email, password="wrong horse battery")


async def request_reset(context: Context, email: str) -> None:
    await mail_tokens.request_password_reset(next_operation(context), email)


async def request_verification(context: Context, email: str) -> None:
    await mail_tokens.resend_verification(next_operation(context), email)


async def difference(attempt: Attempt, context: Context) -> float:
    """By how much of the smaller median the known address takes longer; which of a pair comes
    first is left to chance."""
    took_seconds: dict[str, list[float]] = {EMAIL: [], UNKNOWN: []}
    for _ in range(TRIES):
        for email in random.sample([EMAIL, UNKNOWN], 2):
            began = time.perf_counter()
            await attempt(context, email)
            took_seconds[email].append(time.perf_counter() - began)
    known, unknown = median(took_seconds[EMAIL]), median(took_seconds[UNKNOWN])
    return (known - unknown) / min(known, unknown)


async def tells(attempt: Attempt, context: Context) -> bool:
    """Whether time tells who has an account: the medians differ by 5 % or more, each time that it
    is measured, and always the same way. Noise goes both ways."""
    texts = []
    for _ in range(MEASUREMENTS):
        texts.append(await difference(attempt, context))
        if abs(texts[-1]) < 0.05 or min(texts) < 0 < max(texts):
            return False
    return True


@pytest.mark.serial
@pytest.mark.parametrize(
    "attempt",
    [wrong_sign_in, request_reset, request_verification],
    ids=lambda one: one.__name__,
)
async def test_a_known_and_an_unknown_address_take_the_same_time(
    guest: Context, attempt: Attempt
) -> None:
    # given 200 tries of each, one after the other, then their medians differ by less than 5 %
    assert not await tells(attempt, guest)


@pytest.mark.serial
async def test_a_difference_would_be_seen(guest: Context) -> None:
    # given a way of asking that does a little more for the known address
    async def leaky(context: Context, email: str) -> None:
        await request_reset(context, email)
        if email == EMAIL:
            await models.credential_of(email)

    # then time tells
    assert await tells(leaky, guest)


async def test_the_same_is_done_for_a_known_and_an_unknown_address(
    guest: Context, count_commands: CountCommands
) -> None:
    # given what each try asks of MongoDB, Redis, the hashing threads and the mail queue
    passwords = guest.runtime.accounts.passwords
    assert isinstance(passwords, CountedPasswords)
    done = []
    for email in (EMAIL, UNKNOWN):
        for attempt in (wrong_sign_in, request_reset, request_verification):
            await count_commands.reset()
            passwords.checked = 0
            await attempt(guest, email)
            waiting = await models.MailRequest.get_pymongo_collection().count_documents(
                {"email": email}
            )
            mongo = [one for one in count_commands.mongo if one != "mail_requests.aggregate"]
            done.append((mongo, await count_commands.redis_commands(), passwords.checked, waiting))
    # then it is the same, try by try
    assert done[:3] == done[3:]
    assert done[:3] == [
        (["users.find", "audit.insert"], {}, 1, 0),
        (["mail_requests.insert"], {}, 0, 1),
        (["mail_requests.insert"], {}, 0, 2),
    ]
