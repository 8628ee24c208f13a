"""Page sizes and paging arguments of lists, validated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from models.mongo import ids
from services import cursors
from services.errors import ValidationFailed

PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
T = TypeVar("T")


def _entry_itself(entry: Any) -> Any:
    return entry


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; cursors are signed when they are read.

    `entries` are what the list consists of, in order. One whose node no longer exists (None) has no
    edge, but its cursor may bound the page, so that paging continues behind it.
    """

    entries: Sequence[Any]
    has_next_page: bool
    has_previous_page: bool
    secret: bytes
    order: str
    position_of: Callable[[Any], cursors.Position]
    node_of: Callable[[Any], T | None] = _entry_itself

    @property
    def nodes(self) -> list[T]:
        """The nodes that exist, in order."""
        if self.node_of is _entry_itself:
            return [entry for entry in self.entries if entry is not None]
        return [node for _, node in self._present()]

    @property
    def edges(self) -> list[Edge[T]]:
        """The nodes that exist with their cursors, in order."""
        return [Edge(self, entry, node) for entry, node in self._present()]

    @property
    def page_info(self) -> Self:
        """The page's bounds, which it has itself."""
        return self

    @property
    def start_cursor(self) -> str | None:
        """The first entry's cursor; None for an empty page."""
        return self.cursor(self.entries[0]) if self.entries else None

    @property
    def end_cursor(self) -> str | None:
        """The last entry's cursor; None for an empty page."""
        return self.cursor(self.entries[-1]) if self.entries else None

    def cursor(self, entry: Any) -> str:
        """An entry's signed cursor."""
        return cursors.encode(self.secret, self.order, self.position_of(entry))

    def _present(self) -> Iterator[tuple[Any, T]]:
        for entry in self.entries:
            node = self.node_of(entry)
            if node is not None:
                yield entry, node


@dataclass(frozen=True, slots=True)
class Edge(Generic[T]):
    """A node at its place in a page."""

    page: Page[T]
    entry: Any
    node: T

    @property
    def cursor(self) -> str:
        """The entry's signed cursor."""
        return self.page.cursor(self.entry)


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

    @property
    def cursor(self) -> tuple[str | None, str]:
        """The cursor that the page begins behind or ends before, and its argument's name."""
        return (self.before, "before") if self.before is not None else (self.after, "after")

    def cut(self, entries: Sequence[T], size: int) -> tuple[list[T], bool]:
        """The page of what was read from its cursor on, in the direction of reading.

        Args:
            entries: one more than `size`, if there are so many.

        Returns:
            The entries in the list's order, and whether there are more in that direction.
        """
        page = list(entries[:size])
        return page[::-1] if self.is_backwards else page, len(entries) > size

    def bounds(self, *, is_more: bool, is_beyond: bool) -> tuple[bool, bool]:
        """Whether items follow and precede a page.

        Args:
            is_more: there are more in the direction of reading.
            is_beyond: there are some at the cursor or on its other side.
        """
        return (is_beyond, is_more) if self.is_backwards else (is_more, is_beyond)


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
