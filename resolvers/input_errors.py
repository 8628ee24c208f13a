"""All that is wrong with an input at once, so that a form can show it beside each field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from services.errors import InvalidInput, ValidationFailed


class InputErrors:
    """Failures of an input's fields, collected while they are validated."""

    def __init__(self) -> None:
        self._failures: list[ValidationFailed] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Collect a failure of the `with` block, which ends there; what it sets may be unset."""
        try:
            yield
        except InvalidInput as error:
            self._failures += error.failures
        except ValidationFailed as error:
            self._failures.append(error)

    def raise_any(self) -> None:
        """Fail if anything was collected.

        Raises:
            InvalidInput: several failures; a single one is raised itself.
        """
        if len(self._failures) == 1:
            raise self._failures[0]
        if self._failures:
            raise InvalidInput(self._failures)
