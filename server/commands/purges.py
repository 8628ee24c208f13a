"""`python -m server purges`: list purges that the CDN refused, and retry them."""

from __future__ import annotations

from typing import Annotated

import typer

import models
from resolvers.catalog import purging
from resolvers.context import Runtime
from resolvers.opening import open_runtime
from server import serving
from server.commands.options import load_settings, print_line
from services.settings.settings import Settings

app = typer.Typer()

_MOST = 1000


async def purges(settings: Settings, *, retry: bool) -> None:
    """Print failed purges, with `retry` put them back into the queue."""
    async with open_runtime(settings) as runtime:
        await show(runtime, retry=retry)


async def show(runtime: Runtime, *, retry: bool) -> int:
    """Print failed purges, newest first, with `retry` put all back; return the number printed."""
    failed = await models.purges.list_failed(_MOST)
    waiting = await models.purges.count_waiting()
    again = await models.purges.retry_failed(purging.now(runtime)) if retry else 0
    for purge in failed:
        print_line(_format_purge(purge))
    print_line(f"{waiting.purges} waiting, {len(failed)} failed.")
    if retry:
        print_line(f"{again} put back; the workers try them at once.")
    elif failed:
        print_line("--retry puts them back, once what refused them is mended.")
    return len(failed)


def _format_purge(purge: models.PurgeRecord) -> str:
    at = purge.created_at.isoformat(timespec="seconds")
    what = " ".join([*purge.tags, *purge.paths, *purge.prefixes])
    return f"{at}  {purge.id}  {purge.attempts} tries  {purge.error}  {what[:200]}"


@app.command("purges")
def purges_command(
    retry: Annotated[bool, typer.Option(help="Try all that failed again.")] = False,
) -> None:
    """Show what the CDN would not purge."""
    serving.run(purges(load_settings(), retry=retry))
