"""`python -m server progress ...`: what is on its way to MongoDB, and what should go again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import typer

from server import serving
from server.commands.options import load_settings, print_line
from services.errors import StartupError, UpstreamUnavailable
from services.playback import rewriting
from services.playback.dead_letters import DeadLetter, DeadLetters
from services.playback.keys import ProgressKeys
from services.redis import pool
from services.settings.settings import Settings

app = typer.Typer()
progress = typer.Typer(no_args_is_help=True, help="Progress on its way to MongoDB.")
app.add_typer(progress, name="progress")


async def dead_letters(settings: Settings, *, replay: bool) -> int:
    """Print each dead letter, with `replay` put it back into its stream; return their number.

    Raises:
        StartupError: Redis does not answer.
    """
    count = 0
    redis = pool.connect(settings, state=True)
    keys = ProgressKeys(settings.progress_shards, settings.redis_key_prefix)
    letters = DeadLetters(redis, keys)
    try:
        async for letter in _iterate_letters(letters, settings.progress_shards):
            replayed = replay and await letters.replay(letter)
            print_line(_format_letter(letter, replayed=replayed))
            count += 1
    except UpstreamUnavailable as error:
        raise StartupError("The state Redis does not answer: see STATE_REDIS_URL.") from error
    finally:
        await redis.aclose()
    print_line(_format_summary(count, replay=replay))
    return count


async def _iterate_letters(letters: DeadLetters, shards: int) -> AsyncIterator[DeadLetter]:
    """All dead letters, oldest first in each shard; new ones may be among them."""
    for shard in range(shards):
        after: str | None = None
        while page := await letters.list_page(shard, after):
            for letter in page:
                yield letter
            after = page[-1].letter_id


def _format_letter(letter: DeadLetter, *, replayed: bool) -> str:
    at = datetime.fromtimestamp(letter.set_aside_at_ms / 1000, UTC).isoformat(timespec="seconds")
    names = ",".join(sorted(name.decode("utf-8", "replace") for name in letter.fields))
    line = f"{at}  shard {letter.shard}  entry {letter.entry_id}"
    line += f"  user {letter.user_id}  title {letter.playable_id}  fields {names}"
    return line + ("  replayed" if replayed else "")


def _format_summary(count: int, *, replay: bool) -> str:
    if not count:
        return "No dead letters."
    if replay:
        return f"{count} put back; the next flush writes them, or sets them aside again."
    return f"{count} dead letters. --replay puts them back, once what refused them is mended."


async def rewrite(settings: Settings) -> int:
    """Queue all progress in Redis for MongoDB once more; return how much.

    Raises:
        StartupError: Redis does not answer.
    """
    redis = pool.connect(settings, state=True)
    keys = ProgressKeys(settings.progress_shards, settings.redis_key_prefix)
    try:
        count = await rewriting.rewrite_progress(redis, keys, settings.progress_shard_entries)
    except UpstreamUnavailable as error:
        raise StartupError("The state Redis does not answer: see STATE_REDIS_URL.") from error
    finally:
        await redis.aclose()
    print_line(f"{count} positions queued: the workers write those that MongoDB lacks.")
    return count


@progress.command("rewrite")
def rewrite_command() -> None:
    """Write what Redis has of the last seven days again, after MongoDB was restored."""
    serving.run(rewrite(load_settings()))


@progress.command("dead-letters")
def dead_letters_command(
    replay: Annotated[bool, typer.Option(help="Put each back, to be written again.")] = False,
) -> None:
    """Show the reports that were set aside because nobody could write them."""
    serving.run(dead_letters(load_settings(), replay=replay))
