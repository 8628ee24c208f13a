"""`python -m server schema`: the public schema as text, and what changed in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from graph.contract import Change, Criticality, UnreadableSchema, compare_schemas
from graph.schema import sdl
from server.commands.options import print_line, write_text

_SIGNS = {Criticality.BREAKING: "✖", Criticality.DANGEROUS: "⚠", Criticality.SAFE: "✔"}
_UNREADABLE_STATUS = 2
app = typer.Typer()
schema = typer.Typer(invoke_without_command=True, help="The public schema, and its changes.")
app.add_typer(schema, name="schema")


def format_changes(changes: Sequence[Change]) -> str:
    """One line per change with its sign, the breaking ones first, then how many of these."""
    if not changes:
        return "No changes detected"
    lines = [f"Detected the following changes ({len(changes)}) between schemas:", ""]
    for change in changes:
        lines.append(f"{_SIGNS[change.criticality]}  {' '.join(change.message.split())}")
    broken = sum(change.criticality is Criticality.BREAKING for change in changes)
    if not broken:
        return "\n".join([*lines, "", "No breaking changes detected"])
    return "\n".join([*lines, "", f"Detected {broken} breaking change{'s' * (broken > 1)}"])


@schema.callback()
def print_schema(
    context: typer.Context,
    write: Annotated[bool, typer.Option(help="Write schema.graphql instead of printing.")] = False,
) -> None:
    """Print the public schema; with `check`, compare two."""
    if context.invoked_subcommand is None:
        write_text(sdl(), Path("schema.graphql") if write else None)


@schema.command("check")
def check_command(
    old: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The older schema.")],
    new: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="The newer one; without it, the code's."),
    ] = None,
) -> None:
    """Tell what changed and whom it breaks; exits with 1 if a change is breaking."""
    try:
        after = sdl() if new is None else new.read_text(encoding="utf-8")
        changes = compare_schemas(old.read_text(encoding="utf-8"), after)
    except (UnreadableSchema, UnicodeDecodeError) as error:
        sys.stderr.write(f"marquee: {error}\n")
        raise typer.Exit(_UNREADABLE_STATUS) from None
    print_line(format_changes(changes))
    if any(change.criticality is Criticality.BREAKING for change in changes):
        raise typer.Exit(1)
