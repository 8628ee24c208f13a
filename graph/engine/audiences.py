"""Audiences: equal subscriptions of a process, for whom an event is executed and encoded once.

Equal are those of one plan, the same variables as far as the selection reads them, and the same
rights; of the same viewer where the selection is personal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Any, Generic, TypeVar

from graph.engine.answers import digest_variables
from graph.engine.execution.plan import Plan
from resolvers.context import Context

A = TypeVar("A")
Execute = Callable[[Context, Any], Coroutine[Any, Any, A]]  # an event's answer
_MAX_ANSWERS = 16  # of an audience: to the newest events, and to those that slow clients take late


@dataclass(slots=True, eq=False)
class Audience(Generic[A]):
    """Equal subscriptions, and their answers to the newest events."""

    key: Hashable
    context: Context
    execute: Execute[A]
    waits: bool
    members: int = 0
    answers: dict[Hashable, A | asyncio.Task[A]] = field(default_factory=dict)

    def answer(self, key: Hashable, event: Any) -> A | asyncio.Task[A]:
        """Return the answer to an event, executed for the first member that takes it."""
        answer = self.answers.get(key)
        if answer is None:
            answer = execute_event(self.execute, self.context, event, waits=self.waits)
            self.answers[key] = answer
            if len(self.answers) > _MAX_ANSWERS:
                del self.answers[next(iter(self.answers))]
        return answer


class Audiences(Generic[A]):
    """The audiences of one process."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, Audience[A]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def join(
        self, key: Hashable, context: Context, execute: Execute[A], *, waits: bool
    ) -> Audience[A]:
        """Join the audience of this key, which its first member opens."""
        audience = self._by_key.get(key)
        if audience is None:
            audience = self._by_key[key] = Audience(key, context, execute, waits)
        audience.members += 1
        return audience

    def leave(self, audience: Audience[A]) -> None:
        """Leave an audience; the last member closes it."""
        audience.members -= 1
        if not audience.members:
            del self._by_key[audience.key]


def audience_of(
    plan: Plan, variables: dict[str, Any], context: Context
) -> tuple[Hashable, Context]:
    """The key of the subscriber's audience, and the context in which its events are executed.

    That has nobody's name where the selection is not personal, so that nothing of one member can
    reach another.
    """
    viewer = context.viewer
    if viewer is not None and not plan.events.is_personal:
        viewer = replace(viewer, user_id="", login_id="")
    read = {name: variables.get(name) for name in plan.events.variables}
    key = (plan, digest_variables(read), viewer, id(context.runtime))
    return key, Context(context.runtime, viewer, f"live-{token_hex(8)}")


def execute_event(
    execute: Execute[A], context: Context, event: Any, *, waits: bool
) -> A | asyncio.Task[A]:
    """Execute with loaders of the event's own, at once where nothing of the plan waits."""
    running = execute(context.for_event(), event)
    if waits:
        return asyncio.ensure_future(running)
    try:
        running.send(None)
    except StopIteration as done:
        answer: A = done.value
        return answer
    running.close()
    raise RuntimeError("A plan that loads nothing has waited.")
