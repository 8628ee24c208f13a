"""ASGI applications and middleware called as plain functions, where they wait for nothing.

So a rule that a middleware has also holds where no ASGI server is in between.
"""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.graphql.replies import Reply, send_reply

_REPLY = "marquee.reply"


def build_filter(layers: Sequence[Middleware]) -> ASGIApp:
    """Build an application of these middleware around an answer that comes with the scope."""
    app: ASGIApp = _send_given
    for layer in reversed(layers):
        app = layer.cls(app, *layer.args, **layer.kwargs)
    return app


def filter_reply(app: ASGIApp, scope: Scope, reply: Reply) -> Reply:
    """Return what the middleware of `build_filter` make of an answer."""
    return collect_reply(app, {**scope, _REPLY: reply})


def collect_reply(app: ASGIApp, scope: Scope) -> Reply:
    """Call an application; return its whole answer.

    Raises:
        RuntimeError: it waits for something.
    """
    collected = Reply(0, [], b"")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            collected.status, collected.lines = message["status"], list(message["headers"])
        else:
            collected.body += message.get("body", b"")

    _run_at_once(app(scope, _receive_nothing, send))  # type: ignore[arg-type]
    return collected


def _run_at_once(work: Coroutine[Any, Any, None]) -> None:
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise RuntimeError("The application waits, although nothing can wake it.")


async def _send_given(scope: Scope, _receive: Receive, send: Send) -> None:
    given: Reply = scope[_REPLY]
    await send_reply(send, given)


async def _receive_nothing() -> NoReturn:
    raise RuntimeError("The application reads a body, although there is none.")
