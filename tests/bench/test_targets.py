"""Which servers are measured, with which items, Redis database and settings."""

from __future__ import annotations

import pytest

from bench.databases import Addresses
from bench.environment import RAISED, settings
from bench.items import ITEMS
from bench.running import number_databases, takes_part
from bench.targets import TARGETS, choose_targets
from services.settings.settings import Settings

_ADDRESSES = Addresses("mongodb://localhost/?replicaSet=rs0", "redis://:secret@localhost:7000/0")


def test_each_server_has_a_redis_database_of_its_own() -> None:
    # given all targets, when their databases are numbered
    numbers = number_databases(TARGETS)
    # then only the one that shares ours's sessions has the same
    shared = {target.name: target.redis_of for target in TARGETS if target.redis_of}
    assert len(set(numbers.values())) == len(TARGETS) - len(shared)
    assert all(numbers[name] == numbers[other] for name, other in shared.items())


def test_a_redis_database_is_chosen_by_its_address() -> None:
    assert _ADDRESSES.with_database(5).redis_url == "redis://:secret@localhost:7000/5"


def test_a_peer_that_needs_our_sessions_is_refused_without_ours() -> None:
    with pytest.raises(ValueError, match="mercurius-same-work needs ours"):
        choose_targets(["mercurius-same-work", "yoga"])
    with pytest.raises(ValueError, match="unknown: nobody"):
        choose_targets(["nobody"])


def test_targets_keep_the_order_of_the_table() -> None:
    assert [one.name for one in choose_targets(["yoga", "ours"])] == ["ours", "yoga"]


def test_a_server_takes_part_in_the_items_of_its_groups() -> None:
    # given the items of some targets
    items = {
        target.name: [item.name for item in ITEMS if takes_part(target, item)] for target in TARGETS
    }
    # then groups decide, but for a target with items of its own
    assert items["ours"] == ["browse", "deep", "one", "progress"]
    assert items["ours-cache"] == ["browse", "deep", "one", "persisted", "etag"]
    assert items["ours-entities"] == ["browse", "deep", "one"]
    assert items["mercurius-same-work"] == ["progress"]


def test_ours_runs_as_shipped_but_for_what_refuses_one_busy_address() -> None:
    # given the settings ours is measured with
    (ours,) = choose_targets(["ours"])
    environment = settings(ours, _ADDRESSES, 5000, {"LOG_LEVEL": "error"})
    # then limits, abuse watch, request log and metrics are on, and every raised name is a setting
    assert not {"RATE_LIMIT_MODE", "ABUSE_MODE", "ACCESS_LOG_SAMPLE"} & environment.keys()
    assert {name.lower() for name in RAISED} <= Settings.model_fields.keys()
    # and settings of the command line come last
    assert environment["LOG_LEVEL"] == "error"


def test_peers_know_no_secret_of_ours() -> None:
    (ours, peer) = choose_targets(["ours", "mercurius-same-work"])
    private = settings(ours, _ADDRESSES, 1, {})["JWT_PRIVATE_KEYS"]
    environment = settings(peer, _ADDRESSES, 2, {})
    assert "PRIVATE" in private
    assert "PRIVATE" not in environment["PROGRESS"]
    assert "PUBLIC KEY" in environment["PROGRESS"]
