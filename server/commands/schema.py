"""`python -m server schema`: the public schema as text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graph.schema import sdl
from server.commands.options import write_text

app = typer.Typer()


@app.command("schema")
def schema(
    write: Annotated[bool, typer.Option(help="Write schema.graphql instead of printing.")] = False,
) -> None:
    """The public schema."""
    write_text(sdl(), Path("schema.graphql") if write else None)
