"""A process with providers, for the tests of what clients see of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from resolvers.context import Runtime
from tests.support import fake_provider
from tests.support.fake_provider import FakeProvider
from tests.support.with_providers import Ask, asking, vidking, with_providers


@pytest.fixture(scope="module")
async def _fake() -> AsyncIterator[FakeProvider]:
    async with fake_provider.running() as provider:
        yield provider


@pytest.fixture
def fake(_fake: FakeProvider) -> FakeProvider:
    """Asked by nobody yet."""
    _fake.seen.clear()
    return _fake


@pytest.fixture
async def own(runtime: Runtime, fake: FakeProvider) -> AsyncIterator[Runtime]:
    """A process with VidKing and a templated provider."""
    template = {"vidsrc_template": "https://t.example/{tmdb_id}"}
    async with with_providers(runtime, **vidking(fake), **template) as own:
        yield own


@pytest.fixture(params=["plan", "core"])
def ask(own: Runtime, request: pytest.FixtureRequest) -> Ask:
    return asking(own, request.param)
