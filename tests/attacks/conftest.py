"""The application as it stands in production, under attack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from resolvers.context import Runtime
from services.accounts.token_keys import generate_pem, open_keys
from services.accounts.tokens import AccessTokens
from services.settings.settings import Environment
from tests.support.api_client import LiveServer, build_silent_app, serve_app
from tests.support.runtimes import with_changes

OUR_SITE = "https://app.example"


@pytest.fixture(scope="session")
def private_key() -> str:
    return generate_pem()


@pytest.fixture
def hardened(runtime: Runtime, private_key: str) -> Runtime:
    """With production's settings and secrets of its own."""
    settings = runtime.settings.model_copy(
        update={
            "environment": Environment.PRODUCTION,
            "jwt_secret": SecretStr("a-secret-of-these-tests-and-nobody-elses"),
            "jwt_private_keys": SecretStr(private_key),
            "trusted_hosts": "test,127.0.0.1",
            "public_url": "https://api.example",
            "cors_origin": OUR_SITE,
            "email_verification_required": False,
        }
    )
    tokens = AccessTokens(open_keys(settings), lifetime_seconds=settings.access_token_seconds)
    return with_changes(runtime, settings=settings, accounts={"access_tokens": tokens})


@pytest.fixture
def app(hardened: Runtime) -> Starlette:
    return build_silent_app(hardened)


@pytest.fixture
async def live_server(app: Starlette, hardened: Runtime) -> AsyncIterator[LiveServer]:
    async with serve_app(app, hardened.settings) as server:
        yield server
