"""A half-open breaker and two real processes: together they probe as often as it allows."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import timedelta

from services.breaker.breaker import BreakerRules, CallOutcome, CircuitBreakers, Permit
from services.embedded.servers import die_with_parent
from services.redis import cache_keys
from services.redis.pool import Client
from services.settings.settings import Settings
from tests.support.processes import ROOT

NAME = "provider-acme"
_PROBER = """
import asyncio, sys
from services.redis import pool
from services.breaker.breaker import CircuitBreakers
from services.settings.settings import Settings

async def main():
    client = pool.connect(Settings(_env_file=None, redis_url=sys.argv[1]))
    breakers = CircuitBreakers(client)
    breaker = breakers.of("provider-acme", slow_seconds=1)
    while (await breakers.snapshot("provider-acme")).state.value != "OPEN":
        await asyncio.sleep(0.05)  # a busy machine: Redis was not heard of yet
    print("ready", flush=True)
    sys.stdin.readline()
    permits = [await breaker.admit() for _ in range(10)]
    permits += await asyncio.gather(*(breaker.admit() for _ in range(10)))
    print(sum(permit is not None for permit in permits), flush=True)
    await client.aclose()

asyncio.run(main())
"""


async def test_two_real_processes_get_three_probes_between_them(
    redis: Client, settings: Settings
) -> None:
    # given a breaker that opened a minute ago
    past = timedelta(minutes=1, seconds=5).total_seconds()
    before = CircuitBreakers(redis, BreakerRules(), clock=lambda: time.time() - past)
    one = before.of(NAME, slow_seconds=1)
    for _ in range(20):
        one.record(Permit(), CallOutcome.FAILED, 0.1)
    await one.refresh()
    await before.aclose()
    assert await redis.exists(cache_keys.BREAKER.format(NAME))
    # when two processes ask at the same moment to make twenty calls each
    pipe = asyncio.subprocess.PIPE
    probers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROBER, settings.redis_url),
            cwd=ROOT,
            stdin=pipe,
            stdout=pipe,
            preexec_fn=die_with_parent(),
        )
        for _ in range(2)
    ]
    async with asyncio.timeout(120):
        for prober in probers:
            assert prober.stdout is not None
            assert await prober.stdout.readline() == b"ready\n"
        outputs = await asyncio.gather(*(prober.communicate(b"go\n") for prober in probers))
    # then three of the forty may be made
    assert sum(int(output.split()[-1]) for output, _ in outputs) == 3  # behind what was logged
