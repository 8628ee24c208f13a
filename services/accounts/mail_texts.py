"""What we write to people. Nothing that somebody typed is in it, so no mail carries a stranger's
words: anybody can make us write to any address."""

from __future__ import annotations

from urllib.parse import quote

from services.accounts.mail import Mail

_IGNORE = "If it was not you, ignore this mail: nothing happens without it."
_SIGNATURE = "Marquee"


def verify_email(to: str, code: str, web_url: str) -> Mail:
    way = _way(web_url, "verify-email", code)
    text = f"Somebody, surely you, gave this address to Marquee. To prove it, {way}"
    return _mail(to, "Prove your address", text, "This works once, for 24 hours.", _IGNORE)


def already_registered(to: str, web_url: str) -> Mail:
    text = (
        "Somebody, perhaps you, wanted to register this address with Marquee. "
        "It has an account already: sign in, or have the password reset."
    )
    return _mail(to, "You have an account already", text, web_url, _IGNORE)


def reset_password(to: str, code: str, web_url: str) -> Mail:
    way = _way(web_url, "reset-password", code)
    text = f"Somebody, surely you, forgot the password of your account. To set a new one, {way}"
    return _mail(to, "Set a new password", text, "This works once, for 30 minutes.", _IGNORE)


def password_changed(to: str, web_url: str) -> Mail:
    text = (
        "The password of your account was changed, and it was signed out elsewhere. "
        "API keys go on working: revoke those that you do not know.\n\n"
        "If it was not you, have the password reset now."
    )
    return _mail(to, "Your password was changed", text, web_url)


def account_deleted(to: str) -> Mail:
    text = "Your account was deleted. Everything we kept about you is being erased."
    return _mail(to, "Your account was deleted", text)


def _way(web_url: str, page: str, code: str) -> str:
    """Behind `#` a code is in no server's log and no Referer header."""
    if not web_url:
        return f"enter this code:\n\n{code}"
    return f"open this address:\n\n{web_url.rstrip('/')}/{page}#token={quote(code)}"


def _mail(to: str, subject: str, *paragraphs: str) -> Mail:
    body = "\n\n".join(part for part in (*paragraphs, _SIGNATURE) if part)
    return Mail(to, subject, body + "\n")
