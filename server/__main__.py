"""The command line: python -m server dev|serve|worker|schema|env|seed|import|ingest|..."""

from __future__ import annotations

import sys

import typer

from server.commands import (
    abuse,
    accounts,
    check,
    databases,
    dev,
    documents,
    env_example,
    ingest,
    keys,
    progress,
    purges,
    schema,
    serve,
)
from services.errors import StartupError

cli = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Marquee: a GraphQL backend for film streaming.",
)
for subject in (
    dev,
    serve,
    databases,
    schema,
    env_example,
    ingest,
    purges,
    check,
    accounts,
    abuse,
    progress,
    keys,
    documents,
):
    cli.add_typer(subject.app)


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
