from __future__ import annotations

from pathlib import Path

import pytest

from services.accounts import password_policy
from services.accounts.password_policy import refuse_weak
from services.errors import ValidationFailed

OWN = ("ada.lovelace@example.org", "Ada Lovelace")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
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
        "welcome-1234",
        "\ud800" * 12,
    ],
    ids=ascii,
)
def test_what_everybody_tries_first_is_refused(password: str) -> None:
    with pytest.raises(ValidationFailed) as refused:
        refuse_weak(password, ["password"], OWN)
    assert refused.value.message == "This password is among the first that are tried."


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


def test_an_endless_password_is_judged_at_once() -> None:
    with pytest.raises(ValidationFailed):
        refuse_weak("ab" * 500_000, ["password"], OWN)


def test_the_list_is_long_folded_and_without_repeats() -> None:
    lines = (
        Path(password_policy.__file__).with_name("common_passwords.txt").read_text().splitlines()
    )
    assert len(lines) >= 1000
    assert len(set(lines)) == len(lines)
    assert all(line.isascii() and line == line.lower() and line.isalnum() for line in lines)
