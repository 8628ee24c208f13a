"""A change of the schema and its criticality, in the words of GraphQL Inspector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Criticality(Enum):
    """Whom a change breaks: clients; those that expect what was there; nobody."""

    BREAKING = "breaking"
    DANGEROUS = "dangerous"
    SAFE = "safe"


@dataclass(frozen=True, slots=True)
class Change:
    """One change, told as a sentence that names its place."""

    criticality: Criticality
    message: str


Changes = Iterator[Change]


def breaking(message: str) -> Change:
    """A change that fails documents or variables that worked."""
    return Change(Criticality.BREAKING, message)


def dangerous(message: str) -> Change:
    """A change after which documents run, but may mean or bring something else."""
    return Change(Criticality.DANGEROUS, message)


def safe(message: str) -> Change:
    """A change that no client notices unless it looks for it."""
    return Change(Criticality.SAFE, message)


def breaking_if(is_breaking: bool, message: str, otherwise: Criticality) -> Change:
    """A change that is breaking under a condition."""
    return Change(Criticality.BREAKING if is_breaking else otherwise, message)


@dataclass(frozen=True, slots=True)
class Differences:
    """Names that only the old or the new one of two mappings has, and those of both, in order."""

    removed: list[str]
    added: list[str]
    common: list[str]


def find_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Differences:
    """Compare the names of two mappings."""
    return Differences(
        [name for name in old if name not in new],
        [name for name in new if name not in old],
        [name for name in new if name in old],
    )
