"""A process with providers, and the chosen cases of execution on both executors."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from graph.engine.documents import Documents
from graph.engine.operations import Operations
from resolvers.context import Runtime
from tests.support.execution.execution_cases import (
    build_sender,
    open_case_context,
    open_case_documents,
)
from tests.support.execution.execution_cases_schema import ChosenContext
from tests.support.fake_provider import FakeProvider
from tests.support.operations import Send
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


@pytest.fixture
def case_context(runtime: Runtime) -> ChosenContext:
    return open_case_context(runtime)


@pytest.fixture
def case_documents() -> Documents:
    return open_case_documents()


@pytest.fixture(params=["plan", "core"])
def send_case(
    request: pytest.FixtureRequest, case_documents: Documents, case_context: ChosenContext
) -> Send:
    """Runs one operation of the chosen cases on each executor."""
    by_plan = request.param == "plan"
    operations = Operations(case_documents, by_plan=by_plan, deadline_seconds=5)
    return build_sender(operations, case_context)
