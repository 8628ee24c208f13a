"""What browsing, editing and importing the catalog have connected."""

from __future__ import annotations

from dataclasses import dataclass

from services.cdn import Cdn
from services.cdn.outbox import PurgeOutbox
from services.tmdb.client import Tmdb


@dataclass(frozen=True, slots=True)
class CatalogRuntime:
    """The CDN in front of the catalog, purges it has not had yet, and the catalog's source."""

    cdn: Cdn
    purge_outbox: PurgeOutbox
    tmdb: Tmdb
