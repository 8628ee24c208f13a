from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import jwt
import pytest

from resolvers.context import Runtime
from services.accounts.token_keys import Key, generate_pem
from services.accounts.tokens import AccessTokens
from tests.support.api_client import connect_runtime, token_for
from tests.support.runtimes import with_changes

ADDRESS = "/.well-known/jwks.json"


@pytest.fixture
def keyed(runtime: Runtime) -> Runtime:
    """As in production: two keys, the first of which signs."""
    ring = [Key.from_pem(generate_pem()), Key.from_pem(generate_pem())]
    return with_changes(
        runtime, accounts={"access_tokens": AccessTokens(ring, lifetime_seconds=900)}
    )


@pytest.fixture
async def public(keyed: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    async with connect_runtime(keyed) as client:
        yield client


async def test_everybody_may_know_the_public_keys(
    keyed: Runtime, public: httpx.AsyncClient
) -> None:
    # when anybody asks for the keys
    response = await public.get(ADDRESS)
    # then both public halves are told, to be kept for a while, and nothing of the private ones
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/jwk-set+json"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert response.headers["access-control-allow-origin"] == "*"
    keys = response.json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "crv", "x", "kid", "use", "alg"}] * 2
    # and they verify the tokens of this process
    token = token_for(keyed)
    assert jwt.get_unverified_header(token)["kid"] == keys[0]["kid"]
    known = jwt.PyJWKSet.from_dict(response.json())
    payload = jwt.decode(token, known[keys[0]["kid"]], algorithms=["EdDSA"], audience="marquee-api")
    assert payload["sid"] == "login_1"
    assert payload["iss"] == "marquee"
    head = await public.head(ADDRESS)
    assert (head.status_code, head.content) == (200, b"")
    assert (await public.post(ADDRESS)).status_code == 405


async def test_a_shared_secret_is_not_published(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    response = await client.get(ADDRESS)
    assert response.json() == {"keys": []}
