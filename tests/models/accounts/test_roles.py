"""Roles in the order of their rights."""

from __future__ import annotations

import models


def test_each_role_ranks_above_those_before_it() -> None:
    names = ["ANONYMOUS", "USER", "EDITOR", "OPERATOR", "ADMIN"]
    assert [models.Role[name].rank for name in names] == [0, 1, 2, 3, 4]
    assert len(models.Role) == len(names)


def test_values_read_as_attributes_are_the_values() -> None:
    for one in [*models.AccountTier, *models.PlaybackState]:
        assert one.text == one.value == one.name
