"""Which keys were invalidated after a moment, by name as far as names are known."""

from __future__ import annotations

from services.cache.change_log import ChangeLog


def test_a_key_has_changed_only_since_before_its_invalidation() -> None:
    log = ChangeLog()
    log.record(["movie:1"])
    before = log.count
    log.record(["movie:2", "movie:3"])
    assert [log.has_changed([f"movie:{number}"], before) for number in (1, 2, 3, 4)] == [
        False,
        True,
        True,
        False,
    ]
    assert log.has_changed(["movie:1", "movie:3"], before)
    assert not log.has_changed(["movie:3"], log.count)
    assert not log.has_all_changed(before)


def test_an_invalidation_of_everything_changes_every_key() -> None:
    log = ChangeLog()
    before = log.count
    log.record(None)
    assert log.has_changed(["never:seen"], before)
    assert log.has_all_changed(before)
    assert not log.has_changed(["never:seen"], log.count)


def test_names_beyond_the_bound_count_as_changed() -> None:
    log = ChangeLog()
    before = log.count
    log.record(["movie:first"])
    log.record(f"movie:{number}" for number in range(10_000))
    # then the one that was forgotten is taken for changed, as all of its time are
    assert log.has_changed(["movie:first"], before)
    assert log.has_changed(["never:seen"], before)
    assert not log.has_changed(["never:seen"], log.count - 1)
