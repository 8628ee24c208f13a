"""Changes people make to their account: name and preferences, the password, deletion.

Role and tier are not changed by their owner; the address is in address_change.py. A deleted account
is nobody's from the first write on; its data is erased later (resolvers/accounts/erasure.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import models
from models import AuditEvent, MailPurpose
from resolvers import audit
from resolvers.accounts.input import MAX_DISPLAY_NAME_CHARACTERS, now, require_person, validate_line
from resolvers.accounts.mail_requests import request_mail
from resolvers.accounts.password_check import reauthenticate
from resolvers.accounts.sign_out import close_account, end_sessions
from resolvers.context import Context
from resolvers.input_errors import InputErrors
from services.errors import Conflict, InvalidToken, ValidationFailed
from services.quality import Quality

MOST_LANGUAGES = 20
_DEFAULTS = models.Preferences().model_dump(mode="json")
_LISTS = {"audio_languages": "audioLanguages", "subtitle_languages": "subtitleLanguages"}


async def update_profile(context: Context, changes: Mapping[str, Any]) -> models.UserRecord:
    """Set the display name and preferences.

    Args:
        changes: provided fields only; None resets a preference to its default.

    Raises:
        ValidationFailed: an invalid name, or too many languages.
        InvalidToken: the account was deleted.
        Unauthenticated, Forbidden, UpstreamUnavailable.
    """
    viewer = require_person(context)
    stored, wrong = dict[str, Any](), InputErrors()
    for field, value in changes.items():
        with wrong.collect():
            stored.update([_to_stored(field, value)])
    wrong.raise_any()
    if not stored:
        user = (await models.users_by_id([viewer.user_id])).get(viewer.user_id)
    else:
        user = await models.edit_profile(viewer.user_id, stored, now(context))
    if user is None:
        raise InvalidToken("This account was deleted.")
    return user


def _to_stored(name: str, value: Any) -> tuple[str, Any]:
    """The name of the stored field and its new value."""
    if name == "display_name":
        return name, validate_line(value or "", MAX_DISPLAY_NAME_CHARACTERS, ["displayName"])
    if value is None or value is Quality.UNKNOWN:
        value = _DEFAULTS[name]
    if name in _LISTS:
        value = list(dict.fromkeys(value))
        if len(value) > MOST_LANGUAGES:
            raise ValidationFailed(f"At most {MOST_LANGUAGES} languages.", path=[_LISTS[name]])
    return f"preferences.{name}", value.value if isinstance(value, Quality) else value


async def change_password(context: Context, current: str, new: str) -> None:
    """Change the password and end all other sign-ins; the current one stays.

    Raises:
        InvalidCredentials: the current one is wrong.
        ValidationFailed: the new one is not acceptable.
        Conflict: it was changed elsewhere in this moment.
        Unauthenticated, Forbidden, RateLimited, OperationTimeout, UpstreamUnavailable.
    """
    viewer = require_person(context)
    credential = await reauthenticate(context, viewer, current, "currentPassword")
    await context.runtime.accounts.passwords.refuse_weak(
        new, ["newPassword"], [credential.email, credential.display_name]
    )
    await context.runtime.accounts.breached_passwords.refuse_breached(new, ["newPassword"])
    hashed = await context.runtime.accounts.passwords.hash(new, ["newPassword"])
    changed = await models.change_password(
        credential.id, credential.password_hash, hashed, now(context)
    )
    if changed is None:
        raise Conflict("The password was changed elsewhere.")
    await models.keep_login(viewer.login_id, changed.session_epoch)
    for purpose in (MailPurpose.RESET_PASSWORD, MailPurpose.CHANGE_EMAIL):
        await models.delete_mail_tokens(viewer.user_id, purpose)
    await end_sessions(context, viewer.user_id, but=viewer.login_id)
    await audit.record(context, AuditEvent.PASSWORD_CHANGED, subject=viewer.user_id)
    await request_mail(context, MailPurpose.PASSWORD_CHANGED, credential.email)


async def delete_account(context: Context, password: str) -> None:
    """Delete the account now; its data within seconds, while all stores are available.

    Raises:
        InvalidCredentials: a wrong password.
        Conflict: the password was changed elsewhere in this moment.
        Unauthenticated, Forbidden, RateLimited, OperationTimeout, UpstreamUnavailable.
    """
    viewer = require_person(context)
    credential = await reauthenticate(context, viewer, password, "password")
    if not await models.mark_deleted(credential.id, credential.password_hash, now(context)):
        raise Conflict("The account was changed elsewhere.")
    await close_account(context, credential.id)
    if context.browser is not None:
        context.browser.forget()
    await audit.record(context, AuditEvent.ACCOUNT_DELETED, subject=viewer.user_id)
    await request_mail(context, MailPurpose.ACCOUNT_DELETED, credential.email)
