"""Authentication of a request by access token or API key."""

from __future__ import annotations

import models
from resolvers.accounts.api_keys import authenticate_key, is_api_key
from resolvers.context import Runtime, Viewer
from services.accounts.tokens import reject_token


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
    claims = runtime.accounts.access_tokens.verify(token.strip(), runtime.clock())
    try:
        role, tier = models.Role(claims.role), models.AccountTier(claims.tier)
    except ValueError:
        reject_token()  # issued by another version of us
    viewer = Viewer(
        claims.user_id, role, tier, claims.login_id, claims.issued_at, claims.expires_at
    )
    if runtime.accounts.revocations.is_revoked(viewer):
        reject_token()
    return viewer
