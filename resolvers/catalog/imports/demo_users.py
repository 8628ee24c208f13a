"""The published users of the demo, which never exist in production."""

from __future__ import annotations

import models
from resolvers.context import Context

DEMO_PASSWORD = "marquee-demo-password"  # noqa: S105 - published; these users never exist in production


_DEMO_USERS = (
    ("viewer@marquee.test", "Vera Viewer", models.Role.USER, models.AccountTier.FREE),
    ("premium@marquee.test", "Pia Premium", models.Role.USER, models.AccountTier.PREMIUM),
    ("editor@marquee.test", "Edda Editor", models.Role.EDITOR, models.AccountTier.FREE),
    ("operator@marquee.test", "Otto Operator", models.Role.OPERATOR, models.AccountTier.FREE),
)


async def ensure_demo_users(context: Context) -> int:
    """Create missing demo users, never in production; returns how many."""
    if context.runtime.settings.is_production:
        return 0
    registered = await models.registered_emails([email for email, *_ in _DEMO_USERS])
    missing = [demo for demo in _DEMO_USERS if demo[0] not in registered]
    created = [
        await models.insert_user(
            models.User(
                id=models.ids.derive("user", "demo", email),
                email=email,
                email_verified=True,
                password_hash=await context.runtime.accounts.passwords.hash(DEMO_PASSWORD),
                display_name=name,
                role=role,
                tier=tier,
            )
        )
        for email, name, role, tier in missing
    ]
    return sum(created)
