"""Which member of the replica set is asked: by what is read, and by what changed moments ago."""

from __future__ import annotations

import pytest
from beanie import Document
from pymongo import ReadPreference

import models
from resolvers.context import Runtime

CATALOGUE = [
    models.Movie,
    models.Show,
    models.Season,
    models.Episode,
    models.Person,
    models.Genre,
]
OWN = [models.User, models.Login, models.ViewingProgress]


@pytest.mark.parametrize("document", CATALOGUE)
def test_the_catalogue_is_read_from_secondaries(runtime: Runtime, document: type[Document]) -> None:
    assert (
        models.collection_for_reads(document).read_preference == ReadPreference.SECONDARY_PREFERRED
    )
    # but what changed moments ago from the primary, which has it for certain
    with models.read_from_primary():
        assert models.collection_for_reads(document).read_preference == ReadPreference.PRIMARY
    assert (
        models.collection_for_reads(document).read_preference == ReadPreference.SECONDARY_PREFERRED
    )


@pytest.mark.parametrize("document", OWN)
def test_what_belongs_to_somebody_is_read_from_the_primary(
    runtime: Runtime, document: type[Document]
) -> None:
    assert models.collection_for_reads(document).read_preference == ReadPreference.PRIMARY
