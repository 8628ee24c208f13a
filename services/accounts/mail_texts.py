"""Texts of our mails. They hold nothing that a user typed.

Anybody can make us write to any address, so no mail may carry a stranger's words.
"""

from __future__ import annotations

from urllib.parse import quote

from services.accounts.mail import Mail

_IGNORE = "If it was not you, ignore this mail: nothing happens without it."
_SIGNATURE = "Marquee"


def build_verification_mail(to: str, code: str, web_url: str) -> Mail:
    """Build the mail with the code that proves an address."""
    action = _describe_action(web_url, "verify-email", code)
    text = f"Somebody, surely you, gave this address to Marquee. To prove it, {action}"
    second_step = (
        "Enter the password you chose with it. If you chose none, somebody else gave your address."
    )
    terms = "This works once, for 24 hours."
    return _compose(to, "Prove your address", text, second_step, terms, _IGNORE)


def build_already_registered_mail(to: str, web_url: str) -> Mail:
    """Build the mail to the owner of an address that somebody registers again."""
    text = (
        "Somebody, perhaps you, wanted to register this address with Marquee. "
        "It has an account already: sign in, or have the password reset."
    )
    return _compose(to, "You have an account already", text, web_url, _IGNORE)


def build_password_reset_mail(to: str, code: str, web_url: str) -> Mail:
    """Build the mail with the code that resets a password."""
    action = _describe_action(web_url, "reset-password", code)
    text = f"Somebody, surely you, forgot the password of your account. To set a new one, {action}"
    return _compose(to, "Set a new password", text, "This works once, for 30 minutes.", _IGNORE)


def build_password_changed_mail(to: str, web_url: str) -> Mail:
    """Build the notice of a changed password."""
    text = (
        "The password of your account was changed, and it was signed out elsewhere. "
        "API keys go on working: revoke those that you do not know.\n\n"
        "If it was not you, have the password reset now."
    )
    return _compose(to, "Your password was changed", text, web_url)


def build_password_reset_notice(to: str, web_url: str) -> Mail:
    """Build the notice of a password that was reset."""
    text = (
        "The password of your account was reset by a mail to this address. "
        "It was signed out everywhere, and its API keys have ended.\n\n"
        "If it was not you, have the password reset now, and look after your mailbox."
    )
    return _compose(to, "Your password was changed", text, web_url)


def build_change_mail(to: str, code: str, web_url: str) -> Mail:
    """Build the mail with the code that gives an account this address."""
    action = _describe_action(web_url, "change-email", code)
    text = f"Somebody, surely you, wants to use this address for an account. To do so, {action}"
    return _compose(to, "Your new address", text, "This works once, for an hour.", _IGNORE)


def build_email_changed_notice(to: str, web_url: str) -> Mail:
    """Build the notice to an account's old address."""
    text = (
        "The address of your account was changed: this one does not open it any more.\n\n"
        "If it was not you, write to those who run the service at once."
    )
    return _compose(to, "Your address was changed", text, web_url)


def build_account_deleted_mail(to: str, _web_url: str = "") -> Mail:
    """Build the notice of a deleted account."""
    text = "Your account was deleted. Everything we kept about you is being erased."
    return _compose(to, "Your account was deleted", text)


def _describe_action(web_url: str, page: str, code: str) -> str:
    """Behind `#` a code is in no server's log and no Referer header."""
    if not web_url:
        return f"enter this code:\n\n{code}"
    return f"open this address:\n\n{web_url.rstrip('/')}/{page}#token={quote(code)}"


def _compose(to: str, subject: str, *paragraphs: str) -> Mail:
    body = "\n\n".join(part for part in (*paragraphs, _SIGNATURE) if part)
    return Mail(to, subject, body + "\n")
