"""What people type about themselves, checked and brought into one form; and when it is."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

import models
from resolvers.context import Context, Viewer
from services.accounts import emails
from services.errors import Forbidden, ValidationFailed

MAX_DISPLAY_NAME_CHARACTERS = 80


def now(context: Context) -> datetime:
    return datetime.fromtimestamp(context.runtime.clock(), UTC)


def fold_email(context: Context, email: str) -> str:
    return emails.normalize_email(
        email, allow_test_domain=not context.runtime.settings.is_production
    )


def validate_device(device: models.Device | None) -> models.Device | None:
    if device is None:
        return None
    name = validate_line(device.name, 80, ["device", "name"]) if device.name else None
    key = validate_line(device.key, 128, ["device", "key"])
    return models.Device(key=key, name=name, kind=device.kind)


def validate_line(text: str, most: int, path: list[str]) -> str:
    """Trimmed and normalised text of 1 to `most` characters, without control characters."""
    line = unicodedata.normalize("NFC", text[: 4 * most].strip())
    unfit = any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in line)
    if unfit or not 1 <= len(line) <= most:
        raise ValidationFailed(f"This must be one line of 1 to {most} characters.", path=path)
    return line


def build_user(email: str, display_name: str, password_hash: str, at: datetime) -> models.User:
    """With the least rights, the address not proved."""
    return models.User(
        id=models.ids.new("user"),
        email=email,
        password_hash=password_hash,
        display_name=display_name,
        created_at=at,
        updated_at=at,
    )


def is_person(viewer: Viewer) -> bool:
    """Not a program with an API key."""
    return models.ids.kind_of(viewer.login_id) != "apikey"


def require_person(context: Context) -> Viewer:
    """The viewer, signed in by password: a program with an API key changes no account.

    Raises:
        Unauthenticated, Forbidden.
    """
    viewer = context.require(models.Role.USER)
    if not is_person(viewer):
        raise Forbidden("API keys cannot do this: sign in.")
    return viewer
