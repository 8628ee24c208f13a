"""Who somebody is: registering, signing in, staying signed in, and reading an access token.

Talks to MongoDB (accounts and logins) and to the password threads. An unknown address and a wrong
password get one answer at one cost; a refresh token that was used before ends its whole login.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import models
from loaders import UserById
from resolvers.context import Context, Runtime, Viewer
from services import emails, metrics
from services.errors import AlreadyExists, InvalidCredentials, TokenReused, ValidationFailed
from services.tokens import RefreshToken, refuse

MIN_PASSWORD_CHARACTERS = 12
MAX_DISPLAY_NAME_CHARACTERS = 80
DEMO_PASSWORD = "marquee-demo-password"  # noqa: S105 - published; these users never exist in production
_DEMO_USERS = (
    ("viewer@marquee.test", "Vera Viewer", models.Role.USER, models.AccountTier.FREE),
    ("premium@marquee.test", "Pia Premium", models.Role.USER, models.AccountTier.PREMIUM),
    ("editor@marquee.test", "Edda Editor", models.Role.EDITOR, models.AccountTier.FREE),
    ("operator@marquee.test", "Otto Operator", models.Role.OPERATOR, models.AccountTier.FREE),
)
_REPLAY_SECONDS = 10  # a lost answer, or three tabs refreshing at once, is no theft
_MAX_USER_AGENT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Tokens:
    access_token: str
    expires_in_seconds: int
    refresh_token: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    tokens: Tokens
    viewer: models.UserRecord


async def authenticate(runtime: Runtime, authorization_header: str | None) -> Viewer | None:
    """Who a request's `Authorization: Bearer <access token>` stands for; None without the header.

    Reads nothing: rights are those of the moment the token was issued.

    Raises:
        InvalidToken: the header is there, but holds no access token of ours that is in time.
    """
    if not authorization_header:
        return None
    scheme, _, token = authorization_header.strip().partition(" ")
    if scheme.lower() != "bearer":
        refuse()
    claims = runtime.access_tokens.verify(token.strip(), runtime.clock())
    try:
        role, tier = models.Role(claims.role), models.AccountTier(claims.tier)
    except ValueError:
        refuse()  # issued by another version of us
    return Viewer(claims.user_id, role, tier, claims.login_id)


async def viewer(context: Context) -> models.UserRecord | None:
    """The signed-in viewer's account; None for the anonymous and for accounts since deleted."""
    if context.viewer is None:
        return None
    return await _user(context, context.viewer.user_id)


async def own_account(context: Context, ids: Sequence[str]) -> dict[str, models.UserRecord]:
    """Of these user ids the viewer's own, if it is among them; others' do not exist."""
    if context.viewer is None or context.viewer.user_id not in ids:
        return {}
    user = await _user(context, context.viewer.user_id)
    return {user.id: user} if user is not None else {}


async def register(
    context: Context,
    *,
    email: str,
    password: str,
    display_name: str,
    device: models.Device | None = None,
) -> SignedIn:
    """A new account, signed in.

    Raises:
        ValidationFailed: address, password or name is not acceptable.
        AlreadyExists: the address has an account.
        RateLimited: too many passwords are being hashed.
    """
    address = _folded(context, email)
    name = _one_line(display_name, MAX_DISPLAY_NAME_CHARACTERS, ["displayName"])
    checked = _checked_device(device)
    if len(password) < MIN_PASSWORD_CHARACTERS:
        least = f"The password needs at least {MIN_PASSWORD_CHARACTERS} characters."
        raise ValidationFailed(least, path=["password"])
    user = models.User(
        id=models.ids.new("user"),
        email=address,
        password_hash=await context.runtime.passwords.hash(password),
        display_name=name,
        created_at=_now(context),
        updated_at=_now(context),
    )
    if not await models.insert_user(user):
        raise AlreadyExists("This email address has an account already.", path=["email"])
    metrics.sign_ins_total.labels("registered").inc()
    return await _new_login(context, user.id, checked)


async def login(
    context: Context, *, email: str, password: str, device: models.Device | None = None
) -> SignedIn:
    """
    Raises:
        ValidationFailed: the address is none, or the password exceeds 1 KB.
        InvalidCredentials: unknown address or wrong password; which one is not told.
        RateLimited: too many passwords are being checked.
    """
    address = _folded(context, email)
    checked = _checked_device(device)
    credential = await models.credential_of(address)
    stored = credential.password_hash if credential else None
    if not await context.runtime.passwords.verify(stored, password) or credential is None:
        metrics.sign_ins_total.labels("refused").inc()
        raise InvalidCredentials("Wrong email address or password.")
    await _renew_hash(context, credential, password)
    metrics.sign_ins_total.labels("signed_in").inc()
    return await _new_login(context, credential.id, checked)


async def refresh_tokens(context: Context, refresh_token: str | None) -> SignedIn:
    """New tokens for a refresh token, which is used up by this.

    The token just used up gets the same successor again, within ten seconds and from the same
    user agent.

    Raises:
        InvalidToken: unknown, expired or revoked.
        TokenReused: used up before; its login is revoked by this.
    """
    presented = RefreshToken.parse(refresh_token or "")
    found = _living(context, await models.login_of(presented.hash))
    user = await _user(context, found.user_id)  # first: a read that fails must not cost the token
    if user is None:
        refuse()
    return _signed_in(context, user, found.id, await _successor(context, found, presented))


async def ensure_demo_users(context: Context) -> int:
    """Creates those that are missing, and tells how many; in production none, ever."""
    if context.runtime.settings.is_production:
        return 0
    taken = await models.taken_emails([email for email, *_ in _DEMO_USERS])
    missing = [demo for demo in _DEMO_USERS if demo[0] not in taken]
    created = [
        await models.insert_user(
            models.User(
                id=models.ids.derive("user", "demo", email),
                email=email,
                email_verified=True,
                password_hash=await context.runtime.passwords.hash(DEMO_PASSWORD),
                display_name=name,
                role=role,
                tier=tier,
            )
        )
        for email, name, role, tier in missing
    ]
    return sum(created)


async def _new_login(context: Context, user_id: str, device: models.Device | None) -> SignedIn:
    user = await _user(context, user_id)
    if user is None:
        raise InvalidCredentials("Wrong email address or password.")  # deleted a moment ago
    token, now = RefreshToken.new(), _now(context)
    login = models.Login(
        id=models.ids.new("login"),
        user_id=user_id,
        device=device,
        token_hash=token.hash,
        last_used_at=now,
        expires_at=_refresh_deadline(context),
        created_at=now,
        updated_at=now,
    )
    await models.insert_login(login)
    return _signed_in(context, user, login.id, token)


async def _successor(
    context: Context, found: models.LoginRecord, presented: RefreshToken
) -> RefreshToken:
    if found.token_hash == presented.hash:
        token = RefreshToken.new()
        if await models.rotate_login(found.id, _rotation(context, presented, token)):
            metrics.sign_ins_total.labels("refreshed").inc()
            return token
        found = _living(context, await models.login_of(presented.hash))  # another was faster
    if _is_replay(context, found, presented) and found.sealed_successor:
        metrics.sign_ins_total.labels("replayed").inc()
        return presented.unseal(found.sealed_successor)
    await models.revoke_login(found.id, _now(context))
    metrics.sign_ins_total.labels("reused").inc()
    raise TokenReused("This refresh token was used before: sign in again.")


def _rotation(context: Context, used: RefreshToken, successor: RefreshToken) -> models.Rotation:
    return models.Rotation(
        used_hash=used.hash,
        successor_hash=successor.hash,
        sealed_successor=used.seal(successor),
        user_agent=_user_agent(context),
        now=_now(context),
        expires_at=_refresh_deadline(context),
    )


def _is_replay(context: Context, login: models.LoginRecord, presented: RefreshToken) -> bool:
    return (
        login.used_hashes[-1:] == [presented.hash]
        and _now(context) - login.last_used_at <= timedelta(seconds=_REPLAY_SECONDS)
        and login.rotated_by == _user_agent(context)
    )


def _living(context: Context, login: models.LoginRecord | None) -> models.LoginRecord:
    if login is None or login.revoked_at is not None or login.expires_at <= _now(context):
        refuse()
    return login


def _signed_in(
    context: Context, user: models.UserRecord, login_id: str, refresh_token: RefreshToken
) -> SignedIn:
    issuer = context.runtime.access_tokens
    access_token = issuer.issue(
        user_id=user.id,
        role=user.role.value,
        tier=user.tier.value,
        login_id=login_id,
        now=context.runtime.clock(),
    )
    return SignedIn(Tokens(access_token, issuer.lifetime_seconds, refresh_token.text), user)


async def _renew_hash(context: Context, credential: models.CredentialRecord, password: str) -> None:
    """Costs rise over the years; the password is at hand only now."""
    passwords = context.runtime.passwords
    if passwords.is_outdated(credential.password_hash):
        renewed = await passwords.hash(password)
        await models.replace_password_hash(
            credential.id, credential.password_hash, renewed, _now(context)
        )


async def _user(context: Context, user_id: str) -> models.UserRecord | None:
    return await context.load(UserById, user_id)  # type: ignore[no-any-return]


def _folded(context: Context, email: str) -> str:
    return emails.folded(email, allow_test_domain=not context.runtime.settings.is_production)


def _checked_device(device: models.Device | None) -> models.Device | None:
    if device is None:
        return None
    name = _one_line(device.name, 80, ["device", "name"]) if device.name else None
    key = _one_line(device.key, 128, ["device", "key"])
    return models.Device(key=key, name=name, kind=device.kind)


def _one_line(text: str, most: int, path: list[str]) -> str:
    """Trimmed and normalised text of 1 to `most` characters, without control characters."""
    line = unicodedata.normalize("NFC", text[: 4 * most].strip())
    unfit = any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in line)
    if unfit or not 1 <= len(line) <= most:
        raise ValidationFailed(f"This must be one line of 1 to {most} characters.", path=path)
    return line


def _user_agent(context: Context) -> str | None:
    return context.user_agent[:_MAX_USER_AGENT_CHARACTERS] if context.user_agent else None


def _refresh_deadline(context: Context) -> datetime:
    return _now(context) + timedelta(seconds=context.runtime.settings.refresh_token_seconds)


def _now(context: Context) -> datetime:
    return datetime.fromtimestamp(context.runtime.clock(), UTC)
