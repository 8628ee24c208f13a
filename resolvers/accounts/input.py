"""Validation and normalisation of account input, and the current time."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import models
from resolvers.context import Context, Viewer
from resolvers.input_errors import InputErrors
from services import lines
from services.accounts import emails
from services.errors import Forbidden, ValidationFailed

MAX_DISPLAY_NAME_CHARACTERS = 80


def now(context: Context) -> datetime:
    """The current time of the context's clock."""
    return datetime.fromtimestamp(context.runtime.clock(), UTC)


def fold_email(context: Context, email: str, path: Sequence[str] = ("email",)) -> str:
    """Validate an address and fold it to lower case; test domains only outside production.

    Raises:
        ValidationFailed: no address; `path` is the input field it came in.
    """
    allow_test_domain = not context.runtime.settings.is_production
    return emails.normalize_email(email, path, allow_test_domain=allow_test_domain)


def validate_device(device: models.Device | None) -> models.Device | None:
    """Validate the device's name and key; None stays None."""
    if device is None:
        return None
    wrong = InputErrors()
    with wrong.collect():
        name = validate_line(device.name, 80, ["device", "name"]) if device.name else None
    with wrong.collect():
        key = validate_line(device.key, 128, ["device", "key"])
    wrong.raise_any()
    return models.Device(key=key, name=name, kind=device.kind)


def validate_line(text: str, most: int, path: list[str]) -> str:
    """Trimmed, normalised text of 1 to `most` characters that shows, see services/lines.py."""
    line = unicodedata.normalize("NFC", lines.trim(text[: 4 * most]))
    if not lines.is_fit(line) or len(line) > most:
        raise ValidationFailed(f"This must be one line of 1 to {most} characters.", path=path)
    return line


def build_user(email: str, display_name: str, password_hash: str, at: datetime) -> models.User:
    """Build a user with the least rights and an unverified address."""
    return models.User(
        id=models.ids.new("user"),
        email=email,
        password_hash=password_hash,
        display_name=display_name,
        created_at=at,
        updated_at=at,
    )


def is_person(viewer: Viewer) -> bool:
    """Whether the viewer signed in, rather than a program with an API key."""
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
