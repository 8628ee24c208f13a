"""Page sizes and paging arguments of lists, validated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.mongo import ids
from services.errors import ValidationFailed

PAGE_SIZE = 20


MAX_PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class PageArguments:
    """A connection's arguments as the client sent them."""

    first: int | None = None
    after: str | None = None
    last: int | None = None
    before: str | None = None

    def size(self, default: int = PAGE_SIZE) -> int:
        """The page's size.

        Raises:
            ValidationFailed: the arguments contradict each other or are out of range.
        """
        if self.first is not None and self.last is not None:
            raise ValidationFailed("Give either `first` or `last`, not both.", path=["last"])
        if (self.first is not None and self.before) or (self.last is not None and self.after):
            raise ValidationFailed("`first` goes with `after`, `last` with `before`.")
        if self.after and self.before:
            raise ValidationFailed("Give either `after` or `before`, not both.", path=["before"])
        name = "last" if self.last is not None else "first"
        return validate_size(self.last if self.last is not None else self.first, name, default)

    @property
    def is_backwards(self) -> bool:
        """Whether the page ends before a cursor, or at the list's end."""
        return self.last is not None or self.before is not None


def validate_size(value: int | None, name: str, default: int, maximum: int = MAX_PAGE_SIZE) -> int:
    """The size a client asks for, or the default.

    Raises:
        ValidationFailed: it is not between 1 and `maximum`.
    """
    if value is None:
        return default
    if not 1 <= value <= maximum:
        raise ValidationFailed(f"`{name}` must be between 1 and {maximum}.", path=[name])
    return value


def require_kind(id_: str, *kinds: str, path: Sequence[str] = ("id",)) -> str:
    """The id's kind, validated. An id of another kind is no error: nothing has it here.

    Raises:
        ValidationFailed: the id is malformed.
    """
    kind = ids.kind_of(id_)
    if kind is None:
        raise ValidationFailed("This is not an id of this API.", path=path)
    return kind
