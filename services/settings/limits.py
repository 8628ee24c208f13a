"""Settings of rate limits (operations, cost points) and throttles (sign-ins, mails)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """A part of `Settings`."""

    rate_limit_mode: str = Field(
        "enforce",
        pattern="^(enforce|log|off)$",
        description="enforce; log: count and log who would be refused; or off",
    )
    rate_limit_window_ms: int = Field(
        60_000, ge=1000, description="Length of the window the limits below are of, in ms"
    )
    rate_limit_max_requests: int = Field(
        100, ge=1, description="Operations a FREE account may run in a window"
    )
    rate_limit_premium_max_requests: int = Field(
        1000, ge=1, description="Operations a PREMIUM account may run in a window"
    )
    rate_limit_api_max_requests: int = Field(
        10_000, ge=1, description="Operations an API account may run in a window"
    )
    rate_limit_anonymous_max_requests: int = Field(
        100,
        ge=1,
        description="Operations one address (IPv6: its /64) may run in a window without sign-in",
    )
    rate_limit_max_cost: int = Field(
        50_000, ge=1, description="Cost points of a FREE account in a window"
    )
    rate_limit_premium_max_cost: int = Field(
        500_000, ge=1, description="Cost points of a PREMIUM account in a window"
    )
    rate_limit_api_max_cost: int = Field(
        5_000_000, ge=1, description="Cost points of an API account in a window"
    )
    rate_limit_anonymous_max_cost: int = Field(
        50_000, ge=1, description="Cost points of one address without sign-in in a window"
    )

    throttles: bool = Field(
        True, description="Count tries to sign in, mails and registrations; off only for tests"
    )
    login_window_seconds: int = Field(
        900, ge=1, description="Window of failed sign-ins and of tries to use mailed tokens"
    )
    login_tries_per_account: int = Field(
        10, ge=1, description="Failed sign-ins to one account from one address in that window"
    )
    login_tries_per_account_everywhere: int = Field(
        100,
        ge=1,
        description="Failed sign-ins to one account from all addresses together, but from "
        "devices that signed in to it before",
    )
    login_tries_per_address: int = Field(
        100, ge=1, description="Failed sign-ins, and tries of mailed tokens, from one address"
    )
    mail_window_seconds: int = Field(3600, ge=1, description="Window of mails and registrations")
    mails_per_account: int = Field(
        3, ge=1, description="Mails to one account that one address may ask for in that window"
    )
    mails_per_account_everywhere: int = Field(
        20, ge=1, description="Mails to one account that all addresses together may ask for"
    )
    mails_per_address: int = Field(
        20, ge=1, description="Mails that may be asked for from one address in that window"
    )
    registrations_per_address: int = Field(
        20, ge=1, description="Registrations from one address in that window"
    )
