from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from services.accounts.password_policy import refuse_weak
from services.errors import ValidationFailed

OWN = ("ada.lovelace@example.org", "Ada Lovelace")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "wrong horse battery",
        "zebra lamp cactus",
        "tH9!vaq2#Lmx",
        "Sommerregen im Harz",
        "пароль из семи слов",
        "パスワードではない言葉です",
        "ada likes steam engines",
    ],
)
def test_passwords_nobody_guesses_are_accepted(password: str) -> None:
    refuse_weak(password, ["password"], OWN)


@pytest.mark.parametrize("password", ["", "short", "elevenchars", "é" * 11])
def test_short_ones_are_refused_with_the_least_length(password: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        refuse_weak(password, ["newPassword"], OWN)
    assert refused.value.message == "The password needs at least 12 characters."
    assert refused.value.path == ["newPassword"]


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "P@ssw0rd2026!",
        "PASSWORDPASSWORD",
        "qwertyuiop123",
        "1q2w3e1q2w3e1q2w3e",
        "123456789012",
        "987654321098",
        "abcdefghijkl",
        "zyxwvutsrqpo",
        "asdfghjkl123",
        "aaaaaaaaaaaa",
        "abababababab",
        "iloveyou!!!!",
        "i love you 2026",
        "letmeinplease",
        "monkeydragon1",
        "Summer2026!!!",
        "correct horse battery staple",
        "correcthorsebatterystaple",
        " " * 12,
        "\u0301" * 12,
        "welcome-1234",
        "\ud800" * 12,
    ],
    ids=ascii,
)
def test_what_everybody_tries_first_is_refused(password: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        refuse_weak(password, ["password"], OWN)
    assert refused.value.message == "This password is easy to guess: add a rare word or two."


@pytest.mark.parametrize(
    "password",
    [
        "ada.lovelace1",
        "ada.lovelace@example.org",
        "Lovelace!2026",
        "Ada Lovelace 1815",
        "LOVELACE.ADA.",
        "marquee-ada-7",
        "Our Marquee 12",
    ],
)
def test_ones_own_text_is_refused(password: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        refuse_weak(password, ["password"], OWN)
    assert "address or name" in refused.value.message


@pytest.mark.parametrize("text", ["ab", "a4@b8c({[<e3g69i1!|l1|7o0s$5t+7x%z2"])
def test_a_megabyte_is_judged_at_once(text: str) -> None:
    # given texts for which the estimate would take seconds, the second by its replaced letters
    started = time.thread_time()
    # when one is judged
    with contextlib.suppress(ValidationFailed):
        refuse_weak(text * (1_000_000 // len(text)), ["password"], OWN)
    # then it was cut before
    assert time.thread_time() - started < 1


def test_the_name_of_one_person_is_no_fault_of_anothers_password() -> None:
    # given a password that is a name
    password, owner = "Kowalczykowna-Brzezinska", "Kowalczykowna Brzezinska"

    def accepts(personal: str) -> bool:
        try:
            refuse_weak(password, ["password"], [personal])
        except ValidationFailed:
            return False
        return True

    # when its owner and others choose it at the same time
    with ThreadPoolExecutor(4) as threads:
        names = [owner, "Ada Lovelace"] * 20
        accepted = list(threads.map(accepts, names))
    # then it is refused to its owner alone
    assert accepted == [False, True] * 20
