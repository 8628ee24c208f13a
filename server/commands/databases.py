"""The commands that run on existing databases."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

import models
import workers
from resolvers.catalog.imports import demo, movielens, synthetic
from resolvers.catalog.imports.report import Report
from resolvers.opening import open_runtime
from resolvers.ops.store_findings import warn_about_stores
from server import serving
from server.commands.options import load_settings
from server.commands.progress_bar import ProgressBar
from server.commands.report_text import format_indexes, format_report
from server.commands.serve import describe_process
from server.listeners import open_worker_listener
from server.signals import STOP_SECONDS, stop_on_signals
from services.redis import eviction
from services.settings.settings import Settings
from services.telemetry.logs import get_logger
from services.telemetry.loop_lag import loop_lag

log = get_logger("server")
app = typer.Typer()
importing = typer.Typer(no_args_is_help=True, help="Load a catalogue from elsewhere.")
searching = typer.Typer(no_args_is_help=True, help="What titles and people are found by.")
indexes = typer.Typer(no_args_is_help=True, help="MongoDB indexes.")
app.add_typer(importing, name="import")
app.add_typer(indexes, name="indexes")
app.add_typer(searching, name="search")


async def work(settings: Settings) -> None:
    """Run the background workers until they are stopped."""
    listener = open_worker_listener(settings)
    stop = stop_on_signals(STOP_SECONDS)
    async with (
        open_runtime(settings, may_start_degraded=True) as runtime,
        eviction.watch_eviction_policy(runtime.state_redis),
        warn_about_stores(runtime),
        listener.serve(runtime, stop),
    ):
        loop_lag.start()
        names = workers.names_for("worker")
        facts = {"address": listener.address, "subjects": names, **describe_process(settings)}
        log.info("worker_started", **facts)
        await workers.run_workers(runtime, names, stop)


async def seed(settings: Settings, movies: int, people: int) -> None:
    """Load a synthetic catalogue."""
    async with open_runtime(settings) as runtime:
        await models.apply_indexes()
        with ProgressBar() as bar:
            report = await synthetic.load(runtime, movies, people, bar)
    _print_report(report)


async def import_movielens(settings: Settings, folder: Path) -> None:
    """Import a folder in MovieLens's layout."""
    async with open_runtime(settings) as runtime:
        await models.apply_indexes()
        with ProgressBar() as bar:
            report = await movielens.load(runtime, folder, bar)
    _print_report(report)


async def import_demo(settings: Settings) -> None:
    """Import the demo catalogue."""
    async with open_runtime(settings) as runtime:
        await models.apply_indexes()
        with ProgressBar() as bar:
            report = await demo.load(runtime, bar)
    _print_report(report)


async def plan_indexes(settings: Settings) -> bool:
    """Print what `apply_indexes` would do; return whether that is nothing."""
    async with open_runtime(settings):
        plans = await models.plan_indexes()
    sys.stdout.write(format_indexes(plans) + "\n")
    return all(plan.is_in_step for plan in plans)


async def apply_indexes(settings: Settings, *, drop_extra: bool) -> None:
    """Build the declared indexes and print the result."""
    async with open_runtime(settings):
        await models.apply_indexes(drop_extra=drop_extra)
        plans = await models.plan_indexes()
    sys.stdout.write(format_indexes(plans) + "\n")


async def rebuild_search(settings: Settings) -> None:
    """Fold all names again and print how many differed."""
    async with open_runtime(settings):
        await models.apply_indexes()
        with ProgressBar() as bar:
            done = await models.rebuild_search(bar)
    sys.stdout.write(
        f"{done.changed} of {done.documents} titles and people changed, {done.words} words.\n"
    )


def _print_report(report: Report) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.write(format_report(report) + "\n")


@app.command("worker")
def worker_command() -> None:
    """The background workers."""
    serving.run(work(load_settings()))


@app.command("seed")
def seed_command(
    movies: Annotated[int, typer.Option(min=1, max=1_000_000)] = 10_000,
    people: Annotated[int, typer.Option(min=1, max=1_000_000)] = 20_000,
) -> None:
    """A synthetic catalogue for load work: the same numbers make the same films."""
    serving.run(seed(load_settings(), movies, people))


@importing.command("movielens")
def movielens_command(
    folder: Annotated[Path, typer.Argument(help="Folder with movies.csv, links.csv, ratings.csv")],
) -> None:
    """The public MovieLens layout."""
    serving.run(import_movielens(load_settings(), folder))


@importing.command("demo")
def demo_command() -> None:
    """The demo catalogue that comes with Marquee."""
    serving.run(import_demo(load_settings()))


@indexes.command("plan")
def plan_command() -> None:
    """Tell how MongoDB's indexes differ from the declared ones; exits with 1 if they do."""
    if not serving.run(plan_indexes(load_settings())):
        raise typer.Exit(1)


@indexes.command("apply")
def apply_command(
    drop_extra: Annotated[bool, typer.Option(help="Also drop what is declared nowhere.")] = False,
) -> None:
    """Build what is missing or changed, then drop what that replaces."""
    serving.run(apply_indexes(load_settings(), drop_extra=drop_extra))


@searching.command("rebuild")
def rebuild_search_command() -> None:
    """Fold the names of all titles and people again; once after an upgrade that changes it."""
    serving.run(rebuild_search(load_settings()))
