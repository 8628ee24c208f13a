"""What a later release wrote is shown as far as this one knows it, and stays as it is."""

from __future__ import annotations

from enum import Enum

import msgspec
import pytest

import models
from models.mongo.unknown_values import parse_known, replace_unknown
from models.playback.documents import device_of
from resolvers.context import Runtime
from resolvers.playback import continue_watching, reports
from services.playback.state import DeviceTag
from services.quality import Quality
from tests.support.playback_fixtures import start_film, viewer_of
from tests.support.titles import credit, film, film_id, store
from workers.flush_progress import flush_progress


async def test_an_account_with_an_unknown_role_tier_or_quality_is_still_an_account(
    runtime: Runtime,
) -> None:
    # given an account that a later release changed
    user = models.User(id="user_1", email="a@marquee.test", password_hash="x", display_name="Ada")
    await user.insert()
    later = {"role": "OWNER", "tier": "FAMILY", "preferences.max_quality": "P4320"}
    collection = models.User.get_pymongo_collection()
    await collection.update_one({"_id": "user_1"}, {"$set": later})
    # when it is read
    found = await models.find_by_id(models.User, models.UserRecord, ["user_1"])
    # then it has the least rights, and no limit of quality
    record = found["user_1"]
    assert (record.role, record.tier) == (models.Role.USER, models.AccountTier.FREE)
    assert record.preferences.max_quality is None
    assert record.email == "a@marquee.test"
    # and MongoDB has what the later release wrote
    row = await collection.find_one({"_id": "user_1"})
    assert row is not None
    assert (row["role"], row["preferences"]["max_quality"]) == ("OWNER", "P4320")


async def test_a_film_with_an_unknown_department_is_listed_with_its_neighbours(
    runtime: Runtime,
) -> None:
    await store(film(number, credits=[credit(film_id(number), number)]) for number in range(1, 4))
    collection = models.Movie.get_pymongo_collection()
    await collection.update_one({"_id": film_id(2)}, {"$set": {"credits.0.department": "STUNTS"}})
    ids = [film_id(number) for number in range(1, 4)]
    found = await models.find_by_id(models.Movie, models.MovieRecord, ids)
    assert sorted(found) == sorted(ids)
    (part,) = found[film_id(2)].credits
    assert (part.department, part.title_id) == (models.Department.OTHER, film_id(2))


async def test_continue_watching_lists_what_an_unknown_kind_of_device_played(
    runtime: Runtime,
) -> None:
    # given progress of a device of a kind that is not known here, in MongoDB
    ada = viewer_of(runtime)
    title, session = await start_film(ada)
    await reports.report_progress(ada, session, 0, 100.0)
    await flush_progress(runtime, "worker-1")
    collection = models.ViewingProgress.get_pymongo_collection()
    await collection.update_one({"playable_id": title}, {"$set": {"last_device.kind": "CAR"}})
    # then it is listed, as some other device's
    page = await continue_watching.continue_watching(viewer_of(runtime))
    (item,) = page.entries
    assert item.progress.last_device is not None
    assert item.progress.last_device.kind is models.DeviceKind.OTHER


def test_an_unknown_kind_of_device_in_redis_is_another_one() -> None:
    device = device_of(DeviceTag("car-1", None, "CAR"))
    assert device is not None and device.kind is models.DeviceKind.OTHER


class Colour(Enum):
    RED = "RED"
    GREEN = "GREEN"


class Part(msgspec.Struct):
    name: str
    colour: Colour | None = None


class Painted(msgspec.Struct):
    name: str
    colour: Colour | None = None
    colours: list[Colour] = []
    parts: list[Part] = []


def test_unknown_values_are_left_out_at_any_depth() -> None:
    row = {
        "name": "house",
        "colour": "BLUE",
        "colours": ["RED", "BLUE", "GREEN"],
        "parts": [{"name": "door", "colour": "RED"}, {"name": "roof", "colour": "BLUE"}],
        "later": 1,
    }
    house = msgspec.convert(replace_unknown(row, Painted), Painted)
    assert house == Painted(
        "house",
        None,
        [Colour.RED, Colour.GREEN],
        [Part("door", Colour.RED), Part("roof")],
    )
    assert row["colour"] == "BLUE"


def test_what_is_no_unknown_value_is_still_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(replace_unknown({"name": 5}, Painted), Painted)


@pytest.mark.parametrize("text,expected", [("P1080", Quality.P1080), ("P9999", None), ("", None)])
def test_a_quality_is_known_or_none(text: str, expected: Quality | None) -> None:
    assert parse_known(Quality, text, None) is expected
