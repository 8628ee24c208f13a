"""Updates are built by name, and only of fields that the document stores."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

import models
from models.mongo.updates import build_revision, build_row, build_update, encode_record

NOW = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)


def test_an_update_has_only_the_operators_it_needs() -> None:
    # when an update with every kind of change is built, and one with a single kind
    full = build_update(
        models.Login,
        {"last_used_at": NOW},
        increments={"version": 1},
        on_insert={"_id": "login_1", "created_at": NOW},
        pushes={"used_hashes": "h"},
        maxima={"expires_at": NOW},
        minima={"created_at": NOW},
        unset=["revoked_at"],
    )
    plain = build_update(models.User, {"preferences.language": "de"})
    # then each kind is under MongoDB's name for it, and no operator is empty
    assert full == {
        "$set": {"last_used_at": NOW},
        "$inc": {"version": 1},
        "$setOnInsert": {"_id": "login_1", "created_at": NOW},
        "$push": {"used_hashes": "h"},
        "$max": {"expires_at": NOW},
        "$min": {"created_at": NOW},
        "$unset": {"revoked_at": ""},
    }
    assert plain == {"$set": {"preferences.language": "de"}}


def test_a_revision_raises_the_version_and_sets_the_time() -> None:
    assert build_revision(models.Purge, {"lease": None}, NOW, attempts=-1) == {
        "$set": {"lease": None, "updated_at": NOW},
        "$inc": {"version": 1, "attempts": -1},
    }


@pytest.mark.parametrize(
    "name",
    [
        "emial",
        "id",
        "preferences.langauge",
        "email.language",
        "preferences.language.x",
        "durable",
        "",
    ],
)
def test_a_field_that_the_document_does_not_store_is_refused(name: str) -> None:
    for kind in ("changes", "increments", "on_insert", "pushes", "maxima", "minima"):
        with pytest.raises(ValueError, match="User does not store"):
            build_update(models.User, **{kind: {name: 1}})
    with pytest.raises(ValueError, match="User does not store"):
        build_update(models.User, unset=[name])
    with pytest.raises(ValueError, match="User does not store"):
        build_row(models.User, {"email": "a@example.com", name: 1})


def test_names_inside_a_dict_field_are_free() -> None:
    assert build_update(models.Job, {"arguments.path": "x"}) == {"$set": {"arguments.path": "x"}}


def test_a_record_is_encoded_as_its_document_is_stored() -> None:
    # given a progress with an instant, a record inside and an enum, as its viewer sees it
    device = models.DeviceRecord(key="k", kind=models.DeviceKind.TV)
    progress = models.LiveProgress(
        id="progress_1", user_id="u", last_watched_at=NOW, last_device=device, durable=False
    )
    # when it is encoded as a stored progress
    values = encode_record(progress, of=models.ProgressRecord, exclude={"user_id"})
    # then instants stay instants, and neither the id nor what only the viewer sees is in it
    assert values["last_watched_at"] is NOW
    assert values["last_device"] == {"key": "k", "name": None, "kind": "TV"}
    assert values.keys() == (
        set(models.ProgressRecord.__struct_encode_fields__) - {"_id", "user_id"}
    )


def test_a_dataclass_is_encoded_by_name() -> None:
    @dataclass(frozen=True)
    class End:
        state: models.JobState
        total: int | None

    assert encode_record(End(models.JobState.FAILED, None)) == {"state": "FAILED", "total": None}
