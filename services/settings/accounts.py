"""Settings of accounts and of the mail they are sent."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

_CONTACT_SCHEMES = ("mailto:", "https://", "tel:")


class AccountSettings(BaseSettings):
    """A part of `Settings`."""

    email_verification_required: bool | None = Field(
        None,
        description="Sign-in only with a proved address; then `register` answers the same whether "
        "an address has an account or not; default only in production",
    )
    second_factor_required: bool = Field(
        False,
        description="OPERATOR and ADMIN have the rights of a USER until they sign in with a second "
        "factor",
    )
    sign_in_seconds: int = Field(
        90 * 86400,
        ge=60,
        le=10 * 366 * 86400,
        description="Longest life of a sign-in, however often it is refreshed",
    )
    api_key_days: int = Field(
        366, ge=1, le=3660, description="Longest life of an API key; those without an end get it"
    )
    breached_passwords_url: str = Field(
        "",
        pattern="^(https?://.+)?$",
        description="Base address of a range API (k-anonymity) of passwords in published breaches, "
        "such as Have I Been Pwned's; new ones found there are refused; empty: not asked",
    )
    breached_passwords_timeout_seconds: float = Field(
        1.0, gt=0, le=10, description="How long to wait for it; without an answer a password passes"
    )
    security_contact: str = Field(
        "",
        description="Whom to tell of vulnerabilities, in /.well-known/security.txt: mailto:, "
        "https: or tel: addresses, separated by commas; empty: no such file",
    )
    public_web_url: str = Field(
        "",
        description="Address of the web client that mailed links lead to; empty: mails hold the "
        "code alone",
    )
    mail_from: str = Field(
        "Marquee <no-reply@localhost>", description="Sender of our mails, with or without a name"
    )
    smtp_host: str = Field(
        "",
        description="Mail server; empty: in development mails are kept in DATA_DIR/outbox, in "
        "production there are none",
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="Its port")
    smtp_username: str = Field("", description="Its user; empty: no sign-in there")
    smtp_password: SecretStr = Field(SecretStr(""), description="With SMTP_USERNAME")
    smtp_security: str = Field(
        "starttls",
        pattern="^(starttls|tls|none)$",
        description="starttls (required, never optional), tls from the first byte, or none",
    )
    smtp_timeout_seconds: float = Field(
        10.0, gt=0, description="How long handing one mail to the server may take"
    )

    @field_validator("security_contact")
    @classmethod
    def _check_contacts(cls, text: str) -> str:
        for contact in _split(text):
            if not contact.startswith(_CONTACT_SCHEMES) or not contact.isprintable():
                raise ValueError("name mailto:, https: or tel: addresses")
        return text

    @property
    def security_contacts(self) -> list[str]:
        """Contacts of security.txt, the preferred one first."""
        return _split(self.security_contact)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
