"""Strict reader of one TOML table: an unknown key or a bad value is one clear error.

It exists because resolvers use no third-party library and the demo's authors need good messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, NoReturn, TypeVar

from services.errors import StartupError

T = TypeVar("T")


class Table:
    """A TOML table; `where` opens every message, e.g. "films_sound.toml, film detour-1945"."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self._expected_keys: set[str] = set()
        self.where = where

    def refuse(self, reason: str) -> NoReturn:
        """Raise an error about this table.

        Raises:
            StartupError: always.
        """
        raise StartupError(f"{self.where}: {reason}.")

    def finish(self) -> None:
        """Refuse keys that were never read."""
        unknown = sorted(self._values.keys() - self._expected_keys)
        if unknown:
            self.refuse(f"unknown key {unknown[0]!r}")

    def text(self, key: str, *, pattern: str | None = None) -> str:
        """A required text, of this regular expression if there is one."""
        value = self.optional_text(key, pattern=pattern)
        return self.refuse(f"{key} is missing") if value is None else value

    def optional_text(self, key: str, *, pattern: str | None = None) -> str | None:
        """A text without surrounding spaces, or None."""
        value = self._get(key, str, "a text")
        if value is None:
            return None
        if not value.strip() or value != value.strip():
            self.refuse(f"{key} is empty or has spaces around it")
        if pattern is not None and re.fullmatch(pattern, value, re.ASCII) is None:
            self.refuse(f"{key} is {value!r}, which does not look like {pattern}")
        return value

    def number(self, key: str, low: int, high: int) -> int:
        """A required whole number within bounds."""
        value = self.optional_number(key, low, high)
        return self.refuse(f"{key} is missing") if value is None else value

    def optional_number(self, key: str, low: int, high: int) -> int | None:
        """A whole number within bounds, or None."""
        value = self._get(key, int, "a whole number")
        if value is not None and (isinstance(value, bool) or not low <= value <= high):
            self.refuse(f"{key} is {value!r}, not a whole number from {low} to {high}")
        return value

    def optional_date(self, key: str) -> str | None:
        """A date as ISO text, as dates are stored, or None."""
        value = self._get(key, date, "a date such as 1922-03-04")
        return value.isoformat() if value is not None else None

    def texts(self, key: str) -> list[str]:
        """A list of different texts; empty without the key."""
        values: list[Any] = self._get(key, list, "a list of texts") or []
        if not all(isinstance(value, str) and value.strip() for value in values):
            self.refuse(f"{key} should hold texts only")
        if len(set(values)) != len(values):
            self.refuse(f"{key} names something twice")
        return values

    def pairs(self, key: str) -> list[tuple[str, str]]:
        """A list of [name, role] pairs; a role may be empty."""
        values: list[Any] = self._get(key, list, "a list of pairs") or []
        return [self._pair(key, value) for value in values]

    def tables(self, key: str) -> list[Mapping[str, Any]]:
        """A list of tables; empty without the key."""
        values: list[Any] = self._get(key, list, "a list of tables") or []
        if not all(isinstance(value, dict) for value in values):
            self.refuse(f"{key} should hold tables only")
        return values

    def _pair(self, key: str, value: Any) -> tuple[str, str]:
        match value:
            case [str(name), str(role)] if name.strip():
                return name, role
        return self.refuse(f"{key} holds {value!r}, which is not [name, role]")

    def _get(self, key: str, kind: type[T], called: str) -> T | None:
        self._expected_keys.add(key)
        value = self._values.get(key)
        if value is not None and not isinstance(value, kind):
            self.refuse(f"{key} is {value!r}, not {called}")
        return value
