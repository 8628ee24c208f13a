"""Email addresses in one normal form, so that an address names one account. No DNS."""

from __future__ import annotations

from collections.abc import Sequence

from email_validator import EmailNotValidError, validate_email

from services.errors import ValidationFailed

_MAX_CHARACTERS = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets


def normalize_email(
    address: str, path: Sequence[str] = ("email",), *, allow_test_domain: bool = False
) -> str:
    """Normalise an address and fold its case; `.test` domains are for development.

    Raises:
        ValidationFailed: it is no address mail could be sent to.
    """
    text = address.strip()
    try:
        if len(text) > _MAX_CHARACTERS:  # before the validator spends time on it
            raise EmailNotValidError
        validated = validate_email(
            text, strict=True, check_deliverability=False, test_environment=allow_test_domain
        )
    except (EmailNotValidError, UnicodeError) as error:
        raise ValidationFailed("This is not an email address.", path=path) from error
    return validated.normalized.lower()
