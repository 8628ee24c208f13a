"""Which pages are ours: scheme, host and port are compared."""

from __future__ import annotations

import pytest

from server.origins import Origins
from services.settings.settings import Environment, Settings


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "is_own"),
    [
        ("https://films.example", "wss", "films.example", True),
        ("http://films.example", "ws", "films.example", True),
        ("http://films.example:5000", "ws", "films.example:5000", True),
        ("https://films.example", "wss", "films.example:443", True),
        ("https://films.example:443", "wss", "films.example", True),
        ("https://FILMS.example", "wss", "films.example", True),
        # a page over http is not one over https
        ("http://films.example", "wss", "films.example", False),
        ("https://films.example", "ws", "films.example", False),
        ("http://films.example:5000", "ws", "films.example:5001", False),
        ("https://evil.example", "wss", "films.example", False),
        ("https://films.example.evil.example", "wss", "films.example", False),
        ("null", "wss", "films.example", False),
        ("", "wss", "films.example", False),
        ("https://films.example:x", "wss", "films.example", False),
        ("https://films.example", "wss", None, False),
        ("https://films.example", "wss", "", False),
    ],
)
def test_a_page_is_ours_by_scheme_host_and_port(
    origin: str, scheme: str, host: str | None, is_own: bool
) -> None:
    origins = Origins(Settings(_env_file=None))
    assert origins.is_own(origin, scheme, host) is is_own


def test_behind_a_proxy_that_ends_tls_the_public_address_tells_the_scheme() -> None:
    origins = Origins(Settings(_env_file=None, public_url="https://films.example"))
    assert origins.is_own("https://films.example", "ws", "films.example")
    assert not origins.is_own("https://evil.example", "ws", "films.example")


LOCAL = ["http://localhost:5173", "http://127.0.0.1:8080", "https://localhost", "http://[::1]:3000"]
NOT_LOCAL = [
    "http://localhost.evil.example",
    "http://evil.example:5173",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.2:5173",
    "http://localhost:5173/",
    "http://localhost:",
    "http://localhost:123456",
    "ftp://localhost",
    "null",
    "",
    None,
]


@pytest.mark.parametrize("origin", [*LOCAL, *NOT_LOCAL])
def test_development_names_pages_of_this_machine_whatever_their_port(origin: str | None) -> None:
    origins = Origins(Settings(_env_file=None))
    assert origins.is_named(origin) is (origin in LOCAL)


@pytest.mark.parametrize("origin", LOCAL)
def test_production_names_none_of_them_by_itself(origin: str) -> None:
    production = {"environment": Environment.PRODUCTION}
    assert not Origins(Settings(_env_file=None, **production)).is_named(origin)
    named = Settings(_env_file=None, cors_origin=origin, **production)
    assert Origins(named).is_named(origin)
