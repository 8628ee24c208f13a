"""Authentication of a request by access token or API key."""

from __future__ import annotations

from functools import lru_cache

import models
from resolvers.accounts.api_keys import authenticate_key, is_api_key
from resolvers.context import Runtime, Viewer
from services.accounts.tokens import Claims, reject_token

_MAX_VIEWERS = 10_000


async def authenticate(runtime: Runtime, authorization_header: str | None) -> Viewer | None:
    """Verify `Authorization: Bearer <access token or API key>`; None without a header.

    Reads nothing for a token: its rights are those of the moment it was issued, unless revoked
    since.

    Raises:
        InvalidToken: the header has no valid token or key of ours.
        UpstreamUnavailable: an API key could not be looked up.
    """
    if not authorization_header:
        return None
    scheme, _, token = authorization_header.strip().partition(" ")
    if scheme.lower() != "bearer":
        reject_token()
    if is_api_key(token.strip()):
        return await authenticate_key(runtime, token.strip())
    viewer = _build_viewer(runtime.accounts.access_tokens.verify(token.strip(), runtime.clock()))
    if runtime.accounts.revocations.is_revoked(viewer):
        reject_token()
    return viewer


@lru_cache(maxsize=_MAX_VIEWERS)
def _build_viewer(claims: Claims) -> Viewer:
    """Build the viewer of a verified token, once for each: claims are remembered with theirs."""
    try:
        role, tier = models.Role(claims.role), models.AccountTier(claims.tier)
    except ValueError:
        reject_token()  # issued by another version of us
    return Viewer(claims.user_id, role, tier, claims.login_id, claims.issued_at, claims.expires_at)
