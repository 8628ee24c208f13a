"""`python -m server check`: whether settings and stores are fit, as a table.

`--production` checks the settings as production does; run it before a release.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

import models
from graph.engine.persisted.manifests import read_published
from resolvers.ops import store_findings
from resolvers.ops.store_findings import StoreAway
from server import serving
from server.commands.options import load_settings, print_line
from server.listeners import reject_open_development
from services.errors import StartupError, UpstreamUnavailable
from services.playback.layout import ProgressLayout
from services.production_check import Finding, Severity, list_findings
from services.redis import eviction, pool
from services.redis.pool import Failure
from services.settings.settings import Environment, Settings
from services.settings.unknown_names import find_unknown_names
from services.startup_check import add_findings, list_faults

app = typer.Typer()

# What only the API reads.
_SERVING = {
    "HOST": reject_open_development,
    "PUBLISHED_DOCUMENTS": lambda settings: read_published(settings.published_documents),
}


async def check(settings: Settings, *, production: bool) -> bool:
    """Print the findings; return whether none is refused."""
    is_production = production or settings.is_production
    results = check_settings(settings) if is_production else check_values(settings)
    results += list_unknown_names()
    results += await _check_stores(settings)
    print_line(format_table(results))
    return not any(finding.severity is Severity.REFUSED for finding in results)


def check_settings(settings: Settings) -> list[Finding]:
    """Findings of the settings alone, checked as production's."""
    as_production = settings.model_copy(update={"environment": Environment.PRODUCTION})
    results = check_values(as_production)
    if not settings.is_production:
        what = "is not production, so demo users and a weak signature of tokens are there"
        results.insert(0, Finding(Severity.REFUSED, "ENVIRONMENT", what, "set production"))
    return results


def check_values(settings: Settings) -> list[Finding]:
    """Findings of the settings alone, as `serve` would read them."""
    faults = list_faults(settings) + list_faults(settings, _SERVING)
    return add_findings(faults, list_findings(settings))


def list_unknown_names() -> list[Finding]:
    """Findings of names in the environment that are no settings."""
    return [
        Finding(Severity.WARNING, unknown.name, "is no setting", unknown.remedy)
        for unknown in find_unknown_names()
    ]


def format_table(results: Sequence[Finding]) -> str:
    """Two lines per finding, what is wrong and what to do; the refused first."""
    width = max((len(finding.setting) for finding in results), default=0)
    lines = []
    for finding in sorted(results, key=lambda each: each.severity is not Severity.REFUSED):
        lines.append(f"{finding.severity.value:<8} {finding.setting:<{width}}  {finding.problem}")
        lines.append(f"{'':<8} {'':<{width}}  -> {finding.remedy}")
    refused = sum(finding.severity is Severity.REFUSED for finding in results)
    return "\n".join([*lines, f"{refused} refused, {len(results) - refused} warnings."])


async def _check_stores(settings: Settings) -> list[Finding]:
    """Findings of the stores that are configured; development starts the others itself."""
    results = await _check_mongodb(settings) if settings.mongodb_uri else []
    if settings.redis_address():
        results += await _check_redis(settings, "REDIS_URL", is_state=False)
    if settings.state_redis_address():
        results += await _check_redis(settings, "STATE_REDIS_URL", is_state=True)
    return results


async def _check_mongodb(settings: Settings) -> list[Finding]:
    try:
        async with models.connect_database(settings, may_be_away=True):
            return await store_findings.list_mongodb_findings()
    except StoreAway:
        return [store_findings.build_away_finding("MONGODB_URI")]
    except StartupError as error:
        return [Finding(Severity.REFUSED, "MONGODB_URI", "is not fit", str(error))]


async def _check_redis(settings: Settings, name: str, *, is_state: bool) -> list[Finding]:
    """Findings of one Redis; of the state's also whether it may evict keys."""
    try:
        client = pool.connect(settings, state=is_state)
    except StartupError:  # among the findings of the settings already
        return []
    layout = ProgressLayout(client, settings.progress_shards, settings.redis_key_prefix)
    try:
        refused = await store_findings.list_redis_findings(client, name)
        if refused or not is_state:
            return refused
        report = await eviction.check_eviction_policy(client)
        await layout.check()
    except (StoreAway, UpstreamUnavailable, *Failure):
        return [store_findings.build_away_finding(name)]
    except StartupError as error:
        return [Finding(Severity.REFUSED, "PROGRESS_SHARDS", "is not fit", str(error))]
    finally:
        await client.aclose()
    if report.refusal is not None:
        what = "may drop acknowledged progress when memory is full"
        return [Finding(Severity.REFUSED, name, what, "set maxmemory-policy noeviction")]
    return [Finding(Severity.WARNING, name, "is not fit", warning) for warning in report.warnings]


@app.command("check")
def check_command(
    production: Annotated[
        bool, typer.Option(help="Look at the settings as production would.")
    ] = False,
) -> None:
    """Tell which settings and stores are not fit; exits with 1 if something is refused."""
    if not serving.run(check(load_settings(), production=production)):
        raise typer.Exit(1)
