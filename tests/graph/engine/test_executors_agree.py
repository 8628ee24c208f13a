"""Both executors give the same answer to thousands of generated operations.

For a longer run: MARQUEE_AGREEMENT_OPERATIONS=100000 (default 5400 under CI=true, else a sixth),
MARQUEE_AGREEMENT_FROM=<seed> to begin elsewhere. A seed in a failure's message names its
operation for ever.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

import pytest
import structlog
from graphql import Undefined
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

import models
from graph.engine.documents import Documents
from graph.engine.limits import DocumentLimits
from graph.engine.operations import Request
from graph.schema import CONFIG as PRODUCT_CONFIG
from graph.schema import schema as product_schema
from resolvers.accounts import sign_in
from resolvers.accounts.authentication import authenticate
from resolvers.catalog.imports import synthetic
from resolvers.context import Context, Runtime, Viewer
from resolvers.playback import reports, sessions
from services.cache.cache import Cache
from tests.support.execution.agreement import Disagreement, Executors
from tests.support.execution.document_generator import Generator, Made, operations
from tests.support.execution.sample_schema import CONFIG, SCHEMA
from tests.support.execution.sample_world import SampleContext, World
from tests.support.thoroughness import share_of

ALL = int(os.environ.get("MARQUEE_AGREEMENT_OPERATIONS") or share_of(5400))
FROM = int(os.environ.get("MARQUEE_AGREEMENT_FROM", "0"))
PARTS = 6  # so that xdist can share the work
SAMPLE = ALL * 3 // 4 // PARTS
_SUBSCRIPTIONS = 135  # of each part: among fewer, the share that is planned is up to chance
PRODUCT = ALL // 4 // PARTS
NO_LIMITS = DocumentLimits(depth=99, aliases=999, root_fields=999, fields=99_999, cost=10**12)
FAILURES = (0.0, 0.0, 0.01, 0.03, 0.1)
KINDS = ("query", "query", "query", "mutation")
SAMPLES = Generator(SCHEMA._schema)
RUNS = count()  # names a cache of its own for each run
One = Callable[[Executors, int], Awaitable[str]]


# Where a field fails, graphql-core gives up siblings it has not begun; nobody awaits those.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
async def quiet() -> AsyncIterator[None]:
    """Thousands of masked failures are wanted here; their tracebacks are not."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    yield
    structlog.configure(wrapper_class=before)
    await asyncio.sleep(0.01)
    gc.collect()  # what was given up is found here, not in somebody else's test


def documents(schema: Any, config: Any, capacity: int = 50) -> Documents:
    return Documents(schema, config, introspection=True, limits=NO_LIMITS, capacity=capacity)


def viewer(dice: Random) -> Viewer | None:
    role = dice.choice((None, models.Role.USER, models.Role.ADMIN))
    return role and Viewer("user_1", role, models.AccountTier.FREE, "login_1")


async def sample_agrees(executors: Executors, runtime: Runtime, made: Made, seed: int) -> None:
    dice = Random(seed)
    who, world = viewer(dice), World(seed, dice.choice(FAILURES))
    tiers = dice.choice(("none", "memory"))

    def cold() -> Context:
        own = replace(runtime, cache=Cache(runtime.redis, tiers=tiers))
        return SampleContext(own, who, world=world)

    request = Request(made.text, made.variables, made.name)
    answer = await executors.agree(request, cold)
    if tiers == "memory" and seed % 4 == 0:
        warm = cold()
        again = await executors.agree(request, lambda: replace(warm, _loaders={}, done=[]))
        assert again.data == answer.data


async def run_part(one: One, executors: Executors, count: int, part: int) -> None:
    """Runs this part's seeds, and says how many distinct operations that were."""
    texts = set()
    for at in range(count):
        seed = FROM + part + at * PARTS
        try:
            texts.add(await one(executors, seed))
        except Disagreement as error:
            raise AssertionError(f"seed {seed}: {error}") from None
    report = f"{len(texts)} distinct operations, {executors.compared}"
    print(report)  # shown by -rP
    assert len(texts) > 0.9 * count, report
    assert executors.compared.refused < 0.1 * count, report
    assert executors.compared.planned > 0.75 * count, report


@pytest.mark.parametrize("part", range(PARTS))
async def test_generated_operations_over_the_sample_schema_agree(
    runtime: Runtime, part: int
) -> None:
    executors = Executors(documents(SCHEMA, CONFIG))

    async def one(executors: Executors, seed: int) -> str:
        made = SAMPLES.make(Random(seed), KINDS[seed % len(KINDS)])
        await sample_agrees(executors, runtime, made, seed)
        return made.text

    await run_part(one, executors, SAMPLE, part)
    assert executors.compared.with_errors > 0.1 * SAMPLE


@pytest.mark.parametrize("kind", ["query", "mutation", "subscription"])
@with_settings(
    max_examples=share_of(50),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_documents_are_valid_by_construction(kind: str, data: st.DataObject) -> None:
    made = data.draw(operations(SAMPLES, kind))
    prepared = documents(SCHEMA, CONFIG).get(made.text)
    assert not prepared.errors, made.text
    assert prepared.operation(made.name).kind == kind


class Catalogue:
    """What the product schema is asked about: known ids, unknown ones and nonsense."""

    def __init__(self, people: list[str], genres: list[models.GenreRecord], session: str) -> None:
        movies = [synthetic.movie_id(number) for number in (0, 1, 2, 29)]
        self.ids = [*movies, *people, *(genre.id for genre in genres)]
        self.ids += [session, synthetic.movie_id(10**5), "nonsense"]
        self.slugs = [*(genre.slug for genre in genres), "nonsense"]

    def value(self, dice: Random, type_: str, name: str) -> Any:
        if type_ == "ID":
            return dice.choice(self.ids)
        if name in ("genres", "excludeGenres"):
            return dice.choice(self.slugs)
        if name in ("first", "last"):
            return dice.choice((1, 2, 3, 3, 0, 101))
        if name in ("yearFrom", "yearTo"):
            return dice.randrange(1920, 2030)
        if name in ("width", "height", "widths", "quality") and type_ == "Int":
            return dice.choice((100, 342, 0, 10**6))
        return Undefined


@pytest.fixture
async def catalogue(runtime: Runtime) -> tuple[Catalogue, Viewer]:
    """A small real catalogue, and somebody who watches two of its films."""
    await synthetic.load(runtime, 30, 15)
    context = Context(runtime)
    signed_in = await sign_in.register(
        context, email="ada@example.org", password="correct horse battery", display_name="Ada"
    )
    assert signed_in is not None
    token = f"Bearer {signed_in.tokens.access_token}"
    context.viewer = await authenticate(runtime, token)
    assert context.viewer is not None
    device = models.Device(key="tv", kind=models.DeviceKind.TV)
    for number in (1, 2):
        started = await sessions.start_playback(context, synthetic.movie_id(number), device)
        await reports.report_progress(context, started.session.id, 1, 60.0 * number)
    people = await models.find(models.Person, models.PersonRecord, {}, sort=[("_id", 1)])
    genres = await models.find(models.Genre, models.GenreRecord, {}, sort=[("_id", 1)])
    ids = [person.id for person in people[:4]]
    return Catalogue(ids, genres[:4], started.session.id), context.viewer


@pytest.mark.parametrize("part", range(2))
async def test_generated_subscriptions_agree(runtime: Runtime, part: int) -> None:
    executors = Executors(documents(SCHEMA, CONFIG))
    own = replace(runtime, cache=Cache(runtime.redis, tiers="none"))

    async def one(executors: Executors, seed: int) -> str:
        dice = Random(f"subscription {seed}")
        made = SAMPLES.make(dice, "subscription")
        who, world = viewer(dice), World(seed, dice.choice(FAILURES))
        await executors.agree_on_events(
            Request(made.text, made.variables, made.name),
            lambda: SampleContext(own, who, world=world),
        )
        return made.text

    await run_part(one, executors, _SUBSCRIPTIONS, part)


TIERS = ("none", "memory,redis", "memory")
CHANGING = ("Query.health", "Movie.streamingSources", "Playable.streamingSources")


@pytest.mark.parametrize("part", range(PARTS))
async def test_generated_operations_over_the_product_schema_agree(
    runtime: Runtime, catalogue: tuple[Catalogue, Viewer], part: int
) -> None:
    """Without cache tiers the plan reads projected records and graphql-core whole ones, so this
    proves what fields say they need, too."""
    known, viewer_ = catalogue
    generator = Generator(product_schema._schema, known.value, CHANGING)
    executors = Executors(documents(product_schema, PRODUCT_CONFIG))
    warm = replace(runtime, cache=Cache(runtime.redis, tiers="memory,redis", prefix="warm:"))

    async def one(executors: Executors, seed: int) -> str:
        dice = Random(f"product {seed}")
        made, who = generator.make(dice), dice.choice((None, viewer_))
        tiers = dice.choice((*TIERS, "warm"))

        def fresh() -> Context:
            own = replace(runtime, cache=Cache(runtime.redis, tiers=tiers, prefix=f"{next(RUNS)}:"))
            return Context(warm if tiers == "warm" else own, who)

        await executors.agree(Request(made.text, made.variables, made.name), fresh)
        return made.text

    await run_part(one, executors, PRODUCT, part)
