from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher

from services.accounts.passwords import Passwords
from services.errors import OperationTimeout, RateLimited, ValidationFailed


@pytest.fixture(scope="module")
def passwords() -> Iterator[Passwords]:
    """Cheap ones: the cost is no subject of these tests, except where it is said."""
    service = Passwords(memory_kib=64, passes=1)
    yield service
    service.close()


async def test_a_hash_knows_its_password_and_no_other(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse battery")
    assert await passwords.verify(stored, "correct horse battery") is True
    assert await passwords.verify(stored, "correct horse batterY") is False
    assert await passwords.verify(stored, "") is False


async def test_the_same_password_has_two_hashes(passwords: Passwords) -> None:
    assert await passwords.hash("twice") != await passwords.hash("twice")


async def test_hashes_are_argon2id_at_the_costs_owasp_names() -> None:
    service = Passwords()
    assert (await service.hash("x")).startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    service.close()


async def test_no_account_matches_no_password(passwords: Passwords) -> None:
    assert await passwords.verify(None, "anything") is False


async def test_a_broken_hash_matches_no_password(passwords: Passwords) -> None:
    for stored in ("x", "$argon2id$v=19$m=8,t=1,p=1$AAAA$", "é", "$2b$12$" + "a" * 53):
        assert await passwords.verify(stored, "anything") is False


async def test_a_hash_of_other_costs_is_outdated(passwords: Passwords) -> None:
    older = PasswordHasher(time_cost=3, memory_cost=64, parallelism=1).hash("x")
    assert passwords.is_outdated(older) is True
    assert passwords.is_outdated(await passwords.hash("x")) is False
    assert await passwords.verify(older, "x") is True


async def test_keyboards_that_spell_a_letter_differently_enter_the_same_password(
    passwords: Passwords,
) -> None:
    stored = await passwords.hash("caf\u00e9 au lait")
    assert await passwords.verify(stored, "cafe\u0301 au lait") is True


async def test_a_password_of_one_kilobyte_is_the_longest(passwords: Passwords) -> None:
    assert await passwords.verify(await passwords.hash("é" * 512), "é" * 512) is True
    for too_long in ("é" * 512 + "x", "x" * 1_000_000):
        with pytest.raises(ValidationFailed, match="longer than 1 KB"):
            await passwords.hash(too_long)
        with pytest.raises(ValidationFailed, match="longer than 1 KB"):
            await passwords.verify(None, too_long)


async def test_half_a_character_is_no_text(passwords: Passwords) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await passwords.hash("\ud800" * 12)
    assert refused.value.path == ["password"]


async def test_hashing_leaves_the_loop_free() -> None:
    # given passwords that take about a tenth of a second each
    service = Passwords(memory_kib=64 * 1024, passes=3)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.002)
            ticks += 1

    ticking = asyncio.create_task(tick())
    # when one is hashed
    await service.hash("x")
    # then the loop went on turning meanwhile
    ticking.cancel()
    service.close()
    assert ticks >= 5


async def test_a_weak_password_is_refused_off_the_loop(passwords: Passwords) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await passwords.refuse_weak("ada.lovelace1", ["newPassword"], ["Ada Lovelace"])
    assert refused.value.path == ["newPassword"]
    await passwords.refuse_weak("zebra lamp cactus", ["newPassword"], ["Ada Lovelace"])


async def test_the_queue_is_bounded_and_empties() -> None:
    # given a service where at most four may wait
    service = Passwords(memory_kib=64, passes=1, max_waiting=4)
    # when twenty come at once
    answers = await asyncio.gather(
        *(service.verify(None, "x") for _ in range(20)), return_exceptions=True
    )
    # then four are served, sixteen told to come back, and the next one is served again
    refused = [answer for answer in answers if isinstance(answer, RateLimited)]
    assert answers.count(False) == 4
    assert len(refused) == 16
    assert {error.retry_after_seconds for error in refused} == {1}
    assert await service.verify(None, "x") is False
    service.close()


async def test_waiting_ends_at_the_deadline() -> None:
    service = Passwords(memory_kib=64 * 1024, passes=4, deadline_seconds=0.01)
    with pytest.raises(OperationTimeout):
        await service.hash("x")
    service.close()


@pytest.mark.serial
async def test_time_does_not_tell_whether_an_account_exists() -> None:
    # given the real costs, and one account
    service = Passwords()
    stored = await service.hash("right password")

    async def seconds(of: str | None) -> float:
        started = time.perf_counter()
        await service.verify(of, "wrong password")
        return time.perf_counter() - started

    # when wrong passwords are tried on it and on nobody, turn by turn
    pairs = [(await seconds(stored), await seconds(None)) for _ in range(15)]
    # then both took the time of a hash
    known, unknown = (statistics.median(column) for column in zip(*pairs, strict=True))
    service.close()
    assert 0.7 < unknown / known < 1.4
