"""The command line: python -m server dev|serve|worker|schema|env|seed|import|indexes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from graph.schema import sdl
from server import commands, dev, env_example, serving
from services import logs
from services.errors import StartupError
from services.settings import Settings

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Marquee: a GraphQL backend for film streaming.",
)
importing = typer.Typer(no_args_is_help=True, help="Load a catalogue from elsewhere.")
indexes = typer.Typer(no_args_is_help=True, help="MongoDB indexes.")
cli.add_typer(importing, name="import")
cli.add_typer(indexes, name="indexes")


@cli.command("dev")
def dev_command() -> None:
    """Everything on this machine: private databases, demo catalogue, API and workers."""
    serving.run(dev.run(_settings()))


@cli.command()
def serve() -> None:
    """The API."""
    serving.run(commands.serve(_settings()))


@cli.command()
def worker() -> None:
    """The background workers."""
    serving.run(commands.work(_settings()))


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
    _emit(env_example.text(), Path(".env.example") if write else None)


@cli.command()
def seed(
    movies: Annotated[int, typer.Option(min=1, max=1_000_000)] = 10_000,
    people: Annotated[int, typer.Option(min=1, max=1_000_000)] = 20_000,
) -> None:
    """A synthetic catalogue for load work: the same numbers make the same films."""
    serving.run(commands.seed(_settings(), movies, people))


@importing.command("movielens")
def import_movielens(
    folder: Annotated[Path, typer.Argument(help="Folder with movies.csv, links.csv, ratings.csv")],
) -> None:
    """The public MovieLens layout."""
    serving.run(commands.import_movielens(_settings(), folder))


@importing.command("demo")
def import_demo() -> None:
    """The demo catalogue that comes with Marquee."""
    serving.run(commands.import_demo(_settings()))


@indexes.command("plan")
def plan_indexes() -> None:
    """Tell how MongoDB's indexes differ from the declared ones; exits with 1 if they do."""
    if not serving.run(commands.plan_indexes(_settings())):
        raise typer.Exit(1)


@indexes.command("apply")
def apply_indexes(
    drop_extra: Annotated[bool, typer.Option(help="Also drop what is declared nowhere.")] = False,
) -> None:
    """Build what is missing or changed, then drop what that replaces."""
    serving.run(commands.apply_indexes(_settings(), drop_extra=drop_extra))


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
