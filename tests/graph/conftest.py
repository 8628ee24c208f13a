"""A process with providers, for the tests of what clients see of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from resolvers.context import Runtime
from tests.support.fake_provider import FakeProvider
from tests.support.with_providers import Ask, build_asker, open_providers, vidking


@pytest.fixture
async def own(runtime: Runtime, provider_server: FakeProvider) -> AsyncIterator[Runtime]:
    """A process with VidKing and a templated provider."""
    template = {"vidsrc_template": "https://t.example/{tmdb_id}"}
    async with open_providers(runtime, **vidking(provider_server), **template) as own:
        yield own


@pytest.fixture(params=["plan", "core"])
def ask(own: Runtime, request: pytest.FixtureRequest) -> Ask:
    return build_asker(own, request.param)
