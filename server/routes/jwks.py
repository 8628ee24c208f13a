"""GET /.well-known/jwks.json: the public keys of access tokens (RFC 7517)."""

from __future__ import annotations

import orjson
from starlette.requests import Request
from starlette.responses import Response

from services.accounts.tokens import AccessTokens

_SECONDS = 300  # a new key is made known this long, and longer, before it signs


class KeySet:
    """The key set, encoded once: keys change with a restart."""

    def __init__(self, tokens: AccessTokens) -> None:
        self._body = orjson.dumps(tokens.public_keys)
        self._headers = {
            "Cache-Control": f"public, max-age={_SECONDS}",
            "Access-Control-Allow-Origin": "*",
        }

    async def answer(self, _request: Request) -> Response:
        """Answer with the public keys."""
        return Response(self._body, 200, self._headers, "application/jwk-set+json")
