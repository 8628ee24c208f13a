"""Sending of plain-text mail: over SMTP, or in development as files in DATA_DIR/outbox.

Each mail is handed over within a deadline, or MailFailed is raised and the caller retries later.
No header can be forged: subjects are ours, addresses are validated, names are never in headers.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid, parseaddr
from pathlib import Path
from typing import Protocol, TextIO

import aiosmtplib

from services.errors import MailFailed
from services.settings.settings import Settings
from services.telemetry.logs import get_logger

MAX_OUTBOX_MAILS = 200  # files in the outbox; older ones go
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
log = get_logger("mail")


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as plain text to one address."""

    to: str
    subject: str
    text: str


class Mailer(Protocol):
    """Sender of mails; `is_on` says whether a mail handed over arrives anywhere."""

    is_on: bool

    async def send(self, mail: Mail) -> None:
        """Hand one mail over.

        Raises:
            MailFailed: the mail was refused; `is_final` says that a retry is useless.
        """


class SmtpMailer:
    """Mailer that hands each mail to SMTP_HOST within SMTP_TIMEOUT_SECONDS."""

    is_on = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def send(self, mail: Mail) -> None:
        """Send one mail over SMTP; raises MailFailed."""
        settings, seconds = self._settings, self._settings.smtp_timeout_seconds
        message = build_message(mail, settings.mail_from)
        try:
            async with asyncio.timeout(seconds):
                await aiosmtplib.send(
                    message,
                    hostname=settings.smtp_host,
                    port=settings.smtp_port,
                    username=settings.smtp_username or None,
                    password=settings.smtp_password.get_secret_value() or None,
                    use_tls=settings.smtp_security == "tls",
                    start_tls=settings.smtp_security == "starttls",
                    timeout=seconds,
                )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise MailFailed(type(error).__name__, is_final=_is_final(error)) from error


class OutboxMailer:
    """For development: one .eml file a mail, readable by its owner only; the newest 200 stay.

    On a `terminal` it is also printed; never into a log, where its code would stay.
    """

    is_on = True

    def __init__(self, folder: Path, sender: str, terminal: TextIO | None = None) -> None:
        self.folder = folder
        self._sender = sender
        self._terminal = terminal

    async def send(self, mail: Mail) -> None:
        """Write one mail to the outbox folder; raises MailFailed if the disk refuses it."""
        file = self.folder / f"{time.time_ns()}-{secrets.token_hex(3)}.eml"
        try:
            await asyncio.to_thread(self._write, file, bytes(build_message(mail, self._sender)))
        except OSError as error:
            raise MailFailed(type(error).__name__) from error
        log.info("mail_written", file=str(file), subject=mail.subject)
        if self._terminal is not None:
            self._terminal.write(f"\nTo: {mail.to}\nSubject: {mail.subject}\n\n{mail.text}\n")
            self._terminal.flush()

    def _write(self, file: Path, content: bytes) -> None:
        self.folder.mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
        file.touch(_FILE_MODE)
        file.write_bytes(content)
        for old in sorted(self.folder.glob("*.eml"))[:-MAX_OUTBOX_MAILS]:
            old.unlink(missing_ok=True)


class NoMailer:
    """Production without SMTP_HOST: every mail is refused for good."""

    is_on = False

    async def send(self, mail: Mail) -> None:
        """Refuse the mail: MailFailed, final."""
        raise MailFailed("SMTP_HOST is not set", is_final=True)


def open_mailer(settings: Settings) -> Mailer:
    """Choose the mailer by settings: SMTP, none in production without SMTP_HOST, or the outbox."""
    if settings.smtp_host:
        return SmtpMailer(settings)
    if settings.is_production:
        return NoMailer()
    terminal = sys.stdout if sys.stdout.isatty() else None
    return OutboxMailer(settings.data_dir / "outbox", settings.mail_from, terminal)


def build_message(mail: Mail, sender: str) -> EmailMessage:
    """Build the RFC 5322 message of a mail.

    Raises:
        MailFailed: an address or the subject would end its header.
    """
    message = EmailMessage(policy=SMTP)
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    try:
        message["From"], message["To"], message["Subject"] = sender, mail.to, mail.subject
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=domain)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies, please
        message.set_content(mail.text)
    except (ValueError, IndexError) as error:  # a line break; an address the library cannot read
        raise MailFailed("unfit header", is_final=True) from error
    return message


def _is_final(error: BaseException) -> bool:
    """Say whether a refusal is final for this mail or its reader (RFC 5321, section 4.2.1).

    Any other, such as of our sender or our password, is ours to mend.
    """
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(500 <= refused.code < 600 for refused in error.recipients)
    return isinstance(error, aiosmtplib.SMTPDataError) and 500 <= error.code < 600
