"""security.txt says whom to tell, for as long as anybody asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from resolvers.context import Runtime
from services.settings.settings import Settings
from tests.support.api_client import connect_runtime
from tests.support.clock import Clock
from tests.support.runtimes import with_changes

PATH = "/.well-known/security.txt"


async def read(runtime: Runtime, clock: Clock, **changes: str) -> tuple[int, str]:
    settings = runtime.settings.model_copy(update=changes)
    async with connect_runtime(with_changes(runtime, settings=settings, clock=clock)) as client:
        response = await client.get(PATH)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    return response.status_code, response.text


async def test_contacts_come_in_their_order_and_the_file_ends_within_a_year(
    runtime: Runtime, clock: Clock
) -> None:
    contacts = "https://films.example/report, mailto:security@films.example"
    status, text = await read(
        runtime, clock, security_contact=contacts, public_url="https://films.example"
    )
    end = datetime.fromtimestamp(clock.now, UTC) + timedelta(days=180)
    assert status == 200
    assert text.splitlines() == [
        "Contact: https://films.example/report",
        "Contact: mailto:security@films.example",
        f"Expires: {end:%Y-%m-%dT%H:%M:%SZ}",
        "Preferred-Languages: en",
        f"Canonical: https://films.example{PATH}",
    ]


async def test_without_a_contact_there_is_none(runtime: Runtime, clock: Clock) -> None:
    status, _ = await read(runtime, clock)
    assert status == 404


@pytest.mark.parametrize(
    "contact", ["security@films.example", "http://films.example", "mailto:a@b.example\nExpires: 1"]
)
def test_an_unfit_contact_is_refused(contact: str) -> None:
    with pytest.raises(ValidationError, match="name mailto:, https: or tel: addresses"):
        Settings(_env_file=None, security_contact=contact)
