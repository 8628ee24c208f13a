"""`python -m server documents ...`: documents of clients, pushed before the clients are released.

A push is known to all processes at once; until then a client's ids are not.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

import models
from graph.contract import UnreadableSchema
from graph.engine.document_check import check_against, check_documents
from graph.engine.persisted.manifests import UnreadableManifest, read_manifests
from graph.schema import open_documents
from resolvers.context import Context, Runtime
from resolvers.opening import open_runtime
from resolvers.ops import document_releases
from resolvers.ops.document_releases import Pruned
from server import serving
from server.commands.document_text import format_check, format_documents, format_releases
from server.commands.options import load_settings, print_line
from services.documents.ids import MAX_NAME_CHARACTERS, is_client_name
from services.errors import CodedError, StartupError
from services.settings.settings import Settings

T = TypeVar("T")
_UNREADABLE_STATUS = 2
app = typer.Typer()
documents = typer.Typer(no_args_is_help=True, help="Documents that clients name by an id.")
app.add_typer(documents, name="documents")

Paths = Annotated[
    list[Path], typer.Argument(exists=True, help="Manifests, or folders of .graphql files.")
]


async def push(runtime: Runtime, paths: Sequence[Path], client: str, version: str) -> bool:
    """Push the documents of a release; return false, and push none, if one does not run.

    Raises:
        StartupError: a file is no manifest, a name is none, or there is no room.
    """
    texts, name = read_files(paths), _parse_name(client, version)
    if not check(runtime.settings, texts):
        return False
    try:
        pushed = await document_releases.push(Context(runtime), name, texts)
    except CodedError as error:
        raise StartupError(error.message) from error
    print_line(f"{client} {version}: pushed, {pushed.new} of {pushed.documents} are new.")
    return True


def check(settings: Settings, texts: Mapping[str, str], schema: str | None = None) -> bool:
    """Check documents by id; return whether all run.

    Args:
        schema: the text of a schema; None: the code's.

    Raises:
        UnreadableSchema: `schema` is none.
    """
    if schema is None:
        reports = check_documents(open_documents(settings), texts)
    else:
        reports = check_against(schema, texts)
    print_line(format_check(reports))
    return not any(one.problems for one in reports)


async def read_pushed(settings: Settings) -> Mapping[str, str]:
    """Read all pushed documents by id."""
    async with open_runtime(settings):
        return {one.id: one.text for one in await models.list_pushed_documents()}


async def show_all(runtime: Runtime, *, with_documents: bool) -> None:
    """Print the releases, the newest first; with their documents, if that is wanted."""
    releases = await models.list_releases()
    records = await models.list_pushed_documents()
    print_line(format_releases(releases, len(records)))
    if with_documents:
        texts = {one.id: one.text for one in records}
        reports = check_documents(open_documents(runtime.settings), texts)
        print_line(format_documents(reports, records, releases))


async def prune(
    runtime: Runtime,
    client: str | None,
    version: str | None,
    newest: int | None,
    unused_days: int | None,
) -> None:
    """Delete releases of a client, or documents that nobody asks for.

    Raises:
        StartupError: it is not said which.
    """
    context = Context(runtime)
    match client, version, newest, unused_days:
        case str(), str(), None, None:
            name = _parse_name(client, version)
            pruned = await document_releases.prune_release(context, name)
        case str(), None, int(), None:
            pruned = await document_releases.prune_older(context, client, newest)
        case None, None, None, int():
            pruned = await document_releases.prune_unused(context, unused_days)
        case _:
            raise StartupError(
                "Say what to prune: --client with --version, --client with --newest, or "
                "--unused-days."
            )
    print_line(_format_pruned(pruned))


async def _run(settings: Settings, command: Callable[[Runtime], Awaitable[T]]) -> T:
    async with open_runtime(settings) as runtime:
        return await command(runtime)


def _format_pruned(pruned: Pruned) -> str:
    return f"{pruned.releases} releases and {pruned.documents} documents are deleted."


def read_files(paths: Sequence[Path]) -> Mapping[str, str]:
    """Read the documents of manifests and folders by id.

    Raises:
        StartupError: one is none.
    """
    try:
        return read_manifests(list(paths))
    except UnreadableManifest as error:
        raise StartupError(str(error)) from None


def _parse_name(client: str, version: str) -> models.ReleaseName:
    for name in (client, version):
        if not is_client_name(name):
            raise StartupError(
                f"{name[:80]!r} is no name: 1 to {MAX_NAME_CHARACTERS} letters, digits and "
                "blanks, and @_.+/-"
            )
    return models.ReleaseName(client, version)


@documents.command("push")
def push_command(
    paths: Paths,
    client: Annotated[str, typer.Option(help="Name of the client, as it tells in requests.")],
    version: Annotated[str, typer.Option(help="Version of the client.")],
) -> None:
    """Store a release's documents for all processes; exits with 1 if one does not run."""
    settings = load_settings()
    if not serving.run(_run(settings, lambda runtime: push(runtime, paths, client, version))):
        raise typer.Exit(1)


@documents.command("check")
def check_command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(exists=True, help="Manifests or folders; without any, what is pushed."),
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A schema; without it, the code's."),
    ] = None,
) -> None:
    """Tell which documents a schema breaks, and which no cache may keep; exits with 1 or 2."""
    settings = load_settings()
    texts = read_files(paths) if paths else serving.run(read_pushed(settings))
    try:
        text = None if schema is None else schema.read_text(encoding="utf-8")
        runs = check(settings, texts, text)
    except (UnreadableSchema, UnicodeDecodeError) as error:
        sys.stderr.write(f"marquee: {error}\n")
        raise typer.Exit(_UNREADABLE_STATUS) from None
    if not runs:
        raise typer.Exit(1)


@documents.command("list")
def list_command(
    with_documents: Annotated[
        bool, typer.Option("--documents", help="Each document, with its cost and last use.")
    ] = False,
) -> None:
    """Show the releases that are pushed."""
    serving.run(
        _run(load_settings(), lambda runtime: show_all(runtime, with_documents=with_documents))
    )


@documents.command("prune")
def prune_command(
    client: Annotated[str | None, typer.Option(help="Of this client.")] = None,
    version: Annotated[str | None, typer.Option(help="This version.")] = None,
    newest: Annotated[
        int | None, typer.Option(min=1, help="All versions but so many that were pushed last.")
    ] = None,
    unused_days: Annotated[
        int | None, typer.Option(min=1, help="Documents nobody asked for within so many days.")
    ] = None,
) -> None:
    """Delete what no client needs any more; documents of other releases stay."""
    chosen = (client, version, newest, unused_days)
    serving.run(_run(load_settings(), lambda runtime: prune(runtime, *chosen)))
