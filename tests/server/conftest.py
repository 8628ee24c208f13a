"""Tests of HTTP are run through both doors: by the protocol itself, and by the application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_client import HttpDoor

_THROUGH_BOTH = {
    "test_bad_requests",
    "test_batches",
    "test_cookies",
    "test_document_ids",
    "test_registrations",
    "test_http",
    "test_overload",
    "test_rate_limits",
    "test_abuse_guard",
    "test_compression",
    "test_disconnect",
    "test_error_boundary",
    "test_event_streams",
    "test_header_lines",
    "test_http_protocol",
    "test_incremental",
    "test_leaving",
    "test_query_method",
    "test_security_headers",
    "test_single_connection",
    "test_slow_readers",
    "test_statuses",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if Path(metafunc.module.__file__).stem in _THROUGH_BOTH:
        metafunc.fixturenames.insert(0, "http_door")  # before any client
        metafunc.parametrize("http_door", ["asgi", "short"], indirect=True)


@pytest.fixture
def http_door(request: pytest.FixtureRequest) -> Iterator[str]:
    """The door that the test's clients take."""
    HttpDoor.current = request.param
    yield request.param
    HttpDoor.current = None
