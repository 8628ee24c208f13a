"""A struct becomes one of another class by name, and no field of either is lost on the way."""

from __future__ import annotations

import msgspec
import pytest

from models.mongo.conversion import convert_by_name


class Packed(msgspec.Struct, frozen=True, array_like=True):
    seconds: float = 0.0
    completed: int = 0
    device: str = "null"


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    id: str = ""
    seconds: float = 0.0
    completed: bool = False


def test_fields_of_the_same_name_are_taken_and_flags_converted() -> None:
    # given a packed struct, when it is converted, and back
    shown = convert_by_name(Packed(1.5, 1, "tv"), Shown, id="a")
    packed = convert_by_name(shown, Packed, device="tv")
    # then each has its own types
    assert shown == Shown(id="a", seconds=1.5, completed=True)
    assert packed == Packed(1.5, 1, "tv")
    assert (type(shown.completed), type(packed.completed)) == (bool, int)


def test_a_field_that_comes_from_nowhere_is_refused_in_spite_of_its_default() -> None:
    with pytest.raises(TypeError, match=r"Shown\.id "):
        convert_by_name(Packed(), Shown)
    with pytest.raises(TypeError, match=r"Packed\.device "):
        convert_by_name(Shown(), Packed)


def test_a_field_of_another_type_has_to_be_given() -> None:
    class Other(msgspec.Struct, frozen=True):
        seconds: str = ""

    with pytest.raises(TypeError, match=r"Other\.seconds "):
        convert_by_name(Packed(), Other)
    assert convert_by_name(Packed(2.0), Other, seconds="2") == Other("2")
