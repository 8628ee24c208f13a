"""Subscription tiers as clients see them."""

from __future__ import annotations

from graph.base.enums import describe_enum
from models import AccountTier

describe_enum(
    AccountTier,
    "Subscription tier of an account; it decides limits and quality.",
    {
        "FREE": "No subscription: the default limits.",
        "PREMIUM": "Paid subscription: higher limits and the best quality.",
        "API": "For API clients: limits sized for programs.",
    },
)

__all__ = ["AccountTier"]
