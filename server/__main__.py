"""The command line: python -m server dev|serve|worker|schema|env|seed|import|ingest|..."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from graph.schema import sdl
from models import Role
from server import serving
from server.commands import (
    abuse as abuse_commands,
)
from server.commands import (
    accounts,
    databases,
    dev,
    env_example,
)
from server.commands import (
    check as check_commands,
)
from server.commands import (
    ingest as ingest_commands,
)
from server.commands import (
    progress as progress_commands,
)
from server.commands import (
    purges as purge_commands,
)
from server.commands.keys import keys
from services.errors import StartupError
from services.media.ladder import SegmentType
from services.settings.settings import Settings
from services.telemetry import logs

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Marquee: a GraphQL backend for film streaming.",
)
importing = typer.Typer(no_args_is_help=True, help="Load a catalogue from elsewhere.")
indexes = typer.Typer(no_args_is_help=True, help="MongoDB indexes.")
progress = typer.Typer(no_args_is_help=True, help="Progress on its way to MongoDB.")
abuse = typer.Typer(no_args_is_help=True, help="Neighbourhoods of addresses that misbehave.")
cli.add_typer(abuse, name="abuse")
account = typer.Typer(no_args_is_help=True, help="One person's account and data.")
cli.add_typer(account, name="account")
cli.add_typer(importing, name="import")
cli.add_typer(indexes, name="indexes")
cli.add_typer(progress, name="progress")
cli.add_typer(keys, name="keys")


@cli.command("dev")
def dev_command() -> None:
    """Everything on this machine: private databases, demo catalogue, API and workers."""
    serving.run(dev.run(_settings()))


@cli.command()
def serve() -> None:
    """The API."""
    serving.run(databases.serve(_settings()))


@cli.command()
def worker() -> None:
    """The background workers."""
    serving.run(databases.work(_settings()))


@cli.command()
def schema(
    write: Annotated[bool, typer.Option(help="Write schema.graphql instead of printing.")] = False,
) -> None:
    """The public schema."""
    _emit(sdl(), Path("schema.graphql") if write else None)


@cli.command()
def env(
    write: Annotated[bool, typer.Option(help="Write .env.example instead of printing.")] = False,
) -> None:
    """Every setting with its meaning and default."""
    _emit(env_example.build_text(), Path(".env.example") if write else None)


@cli.command()
def seed(
    movies: Annotated[int, typer.Option(min=1, max=1_000_000)] = 10_000,
    people: Annotated[int, typer.Option(min=1, max=1_000_000)] = 20_000,
) -> None:
    """A synthetic catalogue for load work: the same numbers make the same films."""
    serving.run(databases.seed(_settings(), movies, people))


@cli.command()
def ingest(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A video file.")],
    title: Annotated[str, typer.Option(help="Id of the film or the episode.")],
    subtitles: Annotated[
        list[str], typer.Option(help="Language and WebVTT or SRT file: en=FILE; repeatable.")
    ] = [],  # noqa: B006 - never changed
    segments: Annotated[
        SegmentType, typer.Option(help="fMP4, or MPEG-TS for old players.")
    ] = SegmentType.FMP4,
    force: Annotated[bool, typer.Option(help="Replace what the title plays now.")] = False,
) -> None:
    """Encode a film for our own library: up to 1080p, 720p, 480p and 360p, as HLS."""
    serving.run(ingest_commands.run(_settings(), file, title, subtitles, segments, force=force))


@cli.command()
def purges(
    retry: Annotated[bool, typer.Option(help="Try all that failed again.")] = False,
) -> None:
    """Show what the CDN would not purge."""
    serving.run(purge_commands.purges(_settings(), retry=retry))


@cli.command()
def check(
    production: Annotated[
        bool, typer.Option(help="Look at the settings as production would.")
    ] = False,
) -> None:
    """Tell which settings and stores are not fit; exits with 1 if something is refused."""
    if not serving.run(check_commands.check(_settings(), production=production)):
        raise typer.Exit(1)


@cli.command()
def audit(
    of: Annotated[str | None, typer.Option(help="Only what this id did, or was done to.")] = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="How many at most.")] = 100,
) -> None:
    """Print who did what, the newest first."""
    serving.run(accounts.show_audit(_settings(), of, last))


@account.command("export")
def export_account(
    email: Annotated[str, typer.Argument(help="The account's address.")],
    out: Annotated[
        Path | None, typer.Option(help="A new file, instead of printing; yours alone to read.")
    ] = None,
) -> None:
    """Everything that is stored about a person, as one JSON document."""
    serving.run(accounts.export(_settings(), email, out))


@account.command("delete")
def delete_account(
    email: Annotated[str, typer.Argument(help="The account's address.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete an account; what is stored about the person goes behind that."""
    if not yes:
        typer.confirm(f"Delete the account of {email} for good?", abort=True)
    serving.run(accounts.delete(_settings(), email))


@account.command("role")
def change_role(
    email: Annotated[str, typer.Argument(help="The account's address.")],
    role: Annotated[Role, typer.Argument(help="USER, EDITOR, OPERATOR or ADMIN.")],
) -> None:
    """Give an account another role and end its sessions."""
    serving.run(accounts.change_role(_settings(), email, role))


@importing.command("movielens")
def import_movielens(
    folder: Annotated[Path, typer.Argument(help="Folder with movies.csv, links.csv, ratings.csv")],
) -> None:
    """The public MovieLens layout."""
    serving.run(databases.import_movielens(_settings(), folder))


@importing.command("demo")
def import_demo() -> None:
    """The demo catalogue that comes with Marquee."""
    serving.run(databases.import_demo(_settings()))


@indexes.command("plan")
def plan_indexes() -> None:
    """Tell how MongoDB's indexes differ from the declared ones; exits with 1 if they do."""
    if not serving.run(databases.plan_indexes(_settings())):
        raise typer.Exit(1)


@indexes.command("apply")
def apply_indexes(
    drop_extra: Annotated[bool, typer.Option(help="Also drop what is declared nowhere.")] = False,
) -> None:
    """Build what is missing or changed, then drop what that replaces."""
    serving.run(databases.apply_indexes(_settings(), drop_extra=drop_extra))


@abuse.command("list")
def list_abuse() -> None:
    """Show who is slowed down, held to known documents, or blocked."""
    serving.run(abuse_commands.show_all(_settings()))


@abuse.command("lift")
def lift_abuse(prefix: Annotated[str, typer.Argument(help="A /24, a /64 or an address.")]) -> None:
    """Forget what is held against a prefix; its block ends within a second."""
    serving.run(abuse_commands.lift(_settings(), prefix))


@abuse.command("block")
def block_abuse(
    prefix: Annotated[str, typer.Argument(help="A /24, a /64 or an address, which means its own.")],
    reason: Annotated[str, typer.Option(help="Why; shown in the list.")],
    minutes: Annotated[int, typer.Option(min=1, max=43_200)] = 60,
) -> None:
    """Block a prefix for so long, within a second."""
    serving.run(abuse_commands.block(_settings(), prefix, minutes, reason))


@progress.command("dead-letters")
def dead_letters(
    replay: Annotated[bool, typer.Option(help="Put each back, to be written again.")] = False,
) -> None:
    """Show the reports that were set aside because nobody could write them."""
    serving.run(progress_commands.dead_letters(_settings(), replay=replay))


def _settings() -> Settings:
    """Raises StartupError, which names the settings at fault, not their values: some are secret."""
    try:
        settings = Settings()
    except ValidationError as error:
        faults = (f"{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
        raise StartupError("; ".join(faults) + ".") from None
    logs.configure(settings)
    return settings


def _emit(text: str, path: Path | None) -> None:
    if path is None:
        sys.stdout.write(text)
    else:
        path.write_text(text, encoding="utf-8")


def main() -> None:
    try:
        cli()
    except StartupError as error:
        sys.stderr.write(f"marquee: {error}\n")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
