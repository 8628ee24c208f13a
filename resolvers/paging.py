"""How much of a list is asked for: page sizes and arguments, checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.mongo import ids
from services.errors import ValidationFailed

PAGE_SIZE = 20


MAX_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class PageArguments:
    """As the client gave them."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    def size(self, default: int = PAGE_SIZE) -> int:
        """Raises ValidationFailed when they contradict each other or are out of range."""
        if self.first is not None and self.last is not None:
            raise ValidationFailed("Give either `first` or `last`, not both.", path=["last"])
        if (self.first is not None and self.before) or (self.last is not None and self.after):
            raise ValidationFailed("`first` goes with `after`, `last` with `before`.")
        if self.after and self.before:
            raise ValidationFailed("Give either `after` or `before`, not both.", path=["before"])
        name = "last" if self.last is not None else "first"
        return validate_size(self.last if self.last is not None else self.first, name, default)

    @property
    def backwards(self) -> bool:
        return self.last is not None or self.before is not None


def validate_size(value: int | None, name: str, default: int, most: int = MAX_PAGE_SIZE) -> int:
    """How many; raises ValidationFailed outside 1 to `most`."""
    if value is None:
        return default
    if not 1 <= value <= most:
        raise ValidationFailed(f"`{name}` must be between 1 and {most}.", path=[name])
    return value


def require_kind(id_: str, *kinds: str, path: Sequence[str] = ("id",)) -> str:
    """The id's kind. An id of another kind names nothing here; a malformed one is an error.

    Raises:
        ValidationFailed: this is no id of ours.
    """
    kind = ids.kind_of(id_)
    if kind is None:
        raise ValidationFailed("This is not an id of this API.", path=path)
    return kind
