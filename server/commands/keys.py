"""The command line's `keys`: keys that sign access tokens."""

from __future__ import annotations

import sys

import typer

from services.accounts.token_keys import generate_pem

app = typer.Typer()
keys = typer.Typer(no_args_is_help=True, help="Keys that sign access tokens.")
app.add_typer(keys, name="keys")


@keys.callback()
def commands() -> None:
    """Without this, typer makes the one command nameless."""


@keys.command("new")
def new() -> None:
    """Print a new Ed25519 key for JWT_PRIVATE_KEYS; it is stored nowhere else."""
    sys.stdout.write(generate_pem())
