"""Every argument and input field with values far beyond its bound, by anybody."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import httpx

from graph.schema import schema
from tests.attacks.hostile_sizes import Place, places, requests
from tests.attacks.payloads import JSON, MASKED, assert_nothing_leaks
from tests.conftest import CountCommands

PLACES = 170  # there are more than that
MOST_GROWTH_BYTES = 50 * 1024 * 1024
MOST_ANSWER_BYTES = 10_000  # however long the value that it is about
_STATUSES = {200, 400, 413}
_CODES = {"VALIDATION_FAILED", "COST_LIMIT_EXCEEDED"}
_PAGE_BYTES = 4096


def _resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


async def _refusal_of(client: httpx.AsyncClient, name: str, body: object) -> str | None:
    """Send a request, and say what is wrong with its refusal."""
    content = json.dumps(body).encode()
    response = await client.post("/graphql", content=content, headers=JSON)
    shown = f"{name}: {response.status_code} {response.text[:300]}"
    assert_nothing_leaks(response.text, content.decode())
    if response.status_code not in _STATUSES or len(response.content) > MOST_ANSWER_BYTES:
        return shown
    answer = response.json()
    codes = {error["extensions"]["code"] for error in answer.get("errors", ())}
    is_refused = (
        "data" not in answer and codes != set() and codes <= _CODES and MASKED not in response.text
    )
    return None if is_refused else shown


async def _faults(
    client: httpx.AsyncClient, count_commands: CountCommands, place: Place
) -> list[str]:
    """Send what is hostile at a place: refusals that are none, and commands that were sent."""
    await count_commands.reset()
    refusals = [await _refusal_of(client, name, body) for name, body in requests(place)]
    faults = [fault for fault in refusals if fault is not None]
    commands = (count_commands.mongo, await count_commands.redis_commands())
    return faults if commands == ([], {}) else [*faults, f"{place.name}: {commands}"]


async def test_no_size_beyond_a_bound_reaches_a_store_or_stays_in_memory(
    client: httpx.AsyncClient, count_commands: CountCommands
) -> None:
    # given every argument and input field, and what one place leaves in memory
    everywhere = list(places(schema._schema))
    assert len(everywhere) > PLACES
    faults = await _faults(client, count_commands, everywhere[0])
    before = _resident_bytes()
    # when each gets texts, lists and numbers of 10, 100 and 1,000 times its bound
    for place in everywhere:
        faults += await _faults(client, count_commands, place)
    # then each is refused before anything is done, and memory is as it was
    assert not faults, f"{len(faults)}:\n" + "\n".join(faults[:60])
    grown = _resident_bytes() - before
    print(f"{len(everywhere)} places, {grown / 1e6:.1f} MB")  # shown by -rP
    assert grown < MOST_GROWTH_BYTES
