"""Payloads: the result or results of a mutation, or why it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from graph.base.fields import plain
from graph.base.payloads import build_payload, payload
from services import errors


@payload("One result.")
class OnePayload:
    title: str | None = plain("The title.")


@payload("Several results.", defaults={"tags": [], "applied": False})
class SeveralPayload:
    title: str | None = plain("The title.")
    tags: list[str] = plain("The tags.")
    applied: bool = plain("Whether it was applied.")


@dataclass
class Result:
    title: str
    tags: list[str]
    applied: bool


async def _return(result: Any) -> Any:
    if isinstance(result, Exception):
        raise result
    return result


async def test_the_one_result_is_what_the_call_returns() -> None:
    built = await build_payload(OnePayload, _return("Nosferatu"))
    assert vars(built) == {"title": "Nosferatu", "errors": []}


async def test_several_results_are_attributes_of_what_the_call_returns() -> None:
    built = await build_payload(SeveralPayload, _return(Result("M", ["a"], True)))
    assert vars(built) == {"title": "M", "tags": ["a"], "applied": True, "errors": []}


async def test_a_failure_has_the_defaults_and_a_path_from_the_input() -> None:
    # given a call that refuses a field of its input
    failure = errors.ValidationFailed("No such title.", path=["id"])
    # when the payload is built
    built: Any = await build_payload(SeveralPayload, _return(failure))
    # then null stands where no default is named
    assert (built.title, built.tags, built.applied) == (None, [], False)
    assert [(one.code, one.path) for one in built.errors] == [
        (errors.ErrorCode.VALIDATION_FAILED, ["input", "id"])
    ]


async def test_what_the_input_did_not_cause_stays_an_error_of_the_field() -> None:
    with pytest.raises(errors.UpstreamUnavailable):
        await build_payload(OnePayload, _return(errors.UpstreamUnavailable("Away.")))
