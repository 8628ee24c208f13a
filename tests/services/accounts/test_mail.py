from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator
from email import message_from_bytes, message_from_string
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from services.accounts import mail_texts
from services.accounts.mail import (
    MAX_OUTBOX_MAILS,
    Mail,
    Mailer,
    NoMailer,
    OutboxMailer,
    SmtpMailer,
    build_message,
    open_mailer,
)
from services.errors import MailFailed
from services.settings.settings import Environment, Settings
from tests.support.fake_smtp import FakeSmtp, fake_smtp

MAIL = Mail("ada@example.org", "Prove your address", "Open this:\n\nhttps://films.test/#token=x\n")


@pytest.fixture
async def smtp() -> AsyncIterator[FakeSmtp]:
    async with fake_smtp() as server:
        yield server


def mailer(smtp: FakeSmtp, **changes: Any) -> Mailer:
    settings = {
        "smtp_host": "127.0.0.1",
        "smtp_port": smtp.port,
        "smtp_security": "none",
        "mail_from": "Marquee <no-reply@films.test>",
    }
    return open_mailer(Settings(_env_file=None, **{**settings, **changes}))


def lines(message: Message) -> list[str]:
    content = message.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode().splitlines()


async def test_a_mail_arrives_whole(smtp: FakeSmtp) -> None:
    # when a mail is sent
    await mailer(smtp).send(MAIL)
    # then the server has it, for its reader only, with the headers that mail needs
    assert smtp.recipients == ["ada@example.org"]
    (raw,) = smtp.mails
    message = message_from_string(raw)
    assert message["From"] == "Marquee <no-reply@films.test>"
    assert message["To"] == "ada@example.org"
    assert message["Subject"] == "Prove your address"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@films.test>")
    assert message["Date"]
    assert lines(message) == MAIL.text.splitlines()


async def test_the_password_is_shown_to_the_server_where_one_is_set(smtp: FakeSmtp) -> None:
    await mailer(smtp, smtp_username="marquee", smtp_password="letters").send(MAIL)
    assert smtp.logins == ["\0marquee\0letters"]


@pytest.mark.parametrize(
    ("verb", "answer", "is_final"),
    [
        ("RCPT", "550 no such person", True),
        ("RCPT", "450 later", False),
        ("DATA", "554 not this one", True),
        ("DATA", "451 later", False),
        ("MAIL", "553 who are you", False),
        ("EHLO", "421 closing", False),
    ],
)
async def test_a_refusal_says_whether_it_is_permanent(
    smtp: FakeSmtp, verb: str, answer: str, is_final: bool
) -> None:
    smtp.refuses[verb] = answer
    with pytest.raises(MailFailed) as failed:
        await mailer(smtp).send(MAIL)
    assert failed.value.is_final is is_final
    assert smtp.mails == []


async def test_a_wrong_password_is_ours_to_mend(smtp: FakeSmtp) -> None:
    smtp.refuses["AUTH"] = "535 wrong"
    with pytest.raises(MailFailed) as failed:
        await mailer(smtp, smtp_username="marquee", smtp_password="letters").send(MAIL)
    assert not failed.value.is_final
    assert "letters" not in str(failed.value)


async def test_a_silent_server_costs_no_more_than_the_deadline(smtp: FakeSmtp) -> None:
    # given a server that takes its time with each answer, so that no single wait is too long
    smtp.delay_seconds = 0.3
    began = time.monotonic()
    # when a mail is sent with half a second for all, then it is given up
    with pytest.raises(MailFailed) as failed:
        await mailer(smtp, smtp_timeout_seconds=0.5).send(MAIL)
    assert time.monotonic() - began < 5
    assert not failed.value.is_final
    assert smtp.mails == []


async def test_no_server_is_a_failure_to_be_tried_again() -> None:
    settings = Settings(_env_file=None, smtp_host="127.0.0.1", smtp_port=1, smtp_security="none")
    with pytest.raises(MailFailed) as failed:
        await SmtpMailer(settings).send(MAIL)
    assert not failed.value.is_final


async def test_without_encryption_nothing_is_said_where_it_is_wanted(smtp: FakeSmtp) -> None:
    # given a server that offers no STARTTLS, as one would whose offer was cut out on the way
    with pytest.raises(MailFailed):
        await mailer(
            smtp, smtp_security="starttls", smtp_username="marquee", smtp_password="letters"
        ).send(MAIL)
    # then neither password nor mail was told
    assert (smtp.logins, smtp.mails) == ([], [])


@pytest.mark.parametrize(
    "mail",
    [
        Mail("ada@example.org\r\nBcc: eve@example.org", "Hello", "Text"),
        Mail("ada@example.org", "Hello\nBcc: eve@example.org", "Text"),
        Mail("ada@example.org\rX: y", "Hello", "Text"),
    ],
)
async def test_no_header_can_be_forged(smtp: FakeSmtp, mail: Mail) -> None:
    with pytest.raises(MailFailed) as failed:
        await mailer(smtp).send(mail)
    assert failed.value.is_final
    assert (smtp.commands, smtp.mails) == ([], [])


async def test_a_line_of_one_dot_does_not_end_a_mail(smtp: FakeSmtp) -> None:
    await mailer(smtp).send(Mail("ada@example.org", "Hello", "one\n.\ntwo\n"))
    (raw,) = smtp.mails
    assert raw.endswith(("one\r\n..\r\ntwo\r\n", "one\r\n..\r\ntwo"))


async def test_development_keeps_mails_as_files_of_their_owner(tmp_path: Path) -> None:
    # given development without a mail server
    mailer = open_mailer(Settings(_env_file=None, data_dir=tmp_path))
    assert isinstance(mailer, OutboxMailer)
    # when a mail is sent
    await mailer.send(MAIL)
    # then it is in the outbox, whole, and nobody else's to read
    (file,) = (tmp_path / "outbox").glob("*.eml")
    message = message_from_bytes(file.read_bytes())
    assert message["To"] == "ada@example.org"
    assert lines(message) == MAIL.text.splitlines()
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0


async def test_on_a_terminal_a_mail_is_printed_and_in_a_log_it_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # given a terminal, and an output that goes elsewhere, as in production or into a file
    terminal = io.StringIO()
    elsewhere = open_mailer(Settings(_env_file=None, data_dir=tmp_path))
    # when a mail is sent by either
    await OutboxMailer(tmp_path / "outbox", "no-reply@films.test", terminal).send(MAIL)
    await elsewhere.send(MAIL)
    # then only the terminal shows what is in it
    assert MAIL.text in terminal.getvalue()
    assert f"To: {MAIL.to}\nSubject: {MAIL.subject}\n" in terminal.getvalue()
    assert MAIL.text.splitlines()[0] not in capsys.readouterr().out


async def test_the_outbox_does_not_grow_for_ever(tmp_path: Path) -> None:
    mailer = OutboxMailer(tmp_path, "no-reply@films.test")
    await asyncio.gather(*(mailer.send(MAIL) for _ in range(5)))
    for number in range(MAX_OUTBOX_MAILS + 3):
        (tmp_path / f"0{number:04}.eml").write_text("old")
    await mailer.send(MAIL)
    remaining = sorted(file.name for file in tmp_path.glob("*.eml"))
    assert len(remaining) == MAX_OUTBOX_MAILS
    assert remaining[0] == "00009.eml"


async def test_an_outbox_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MailFailed):
        await OutboxMailer(tmp_path / "file" / "outbox", "no-reply@films.test").send(MAIL)


async def test_production_without_a_server_sends_nothing_and_says_so() -> None:
    settings = Settings(_env_file=None, environment=Environment.PRODUCTION)
    off = open_mailer(settings)
    assert isinstance(off, NoMailer) and not off.is_on
    with pytest.raises(MailFailed) as failed:
        await off.send(MAIL)
    assert failed.value.is_final


def test_codes_are_behind_the_hash_of_a_link_or_alone() -> None:
    linked = mail_texts.build_password_reset_mail("ada@example.org", "c0de", "https://films.test/")
    assert "https://films.test/reset-password#token=c0de\n" in linked.text
    without_link = mail_texts.build_password_reset_mail("ada@example.org", "c0de", "")
    assert "\n\nc0de\n" in without_link.text
    assert "http" not in without_link.text


def test_every_text_is_short_plain_and_from_us() -> None:
    to, web = "ada@example.org", "https://films.test"
    mails = [
        mail_texts.build_verification_mail(to, "c0de", web),
        mail_texts.build_already_registered_mail(to, web),
        mail_texts.build_password_reset_mail(to, "c0de", web),
        mail_texts.build_password_changed_mail(to, web),
        mail_texts.build_account_deleted_mail(to),
    ]
    for mail in mails:
        assert mail.to == to
        assert len(mail.text) < 600
        assert mail.text.isascii() and mail.text.endswith("Marquee\n")
        assert build_message(mail, "no-reply@films.test")["Subject"] == mail.subject
