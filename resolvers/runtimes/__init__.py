"""What a process has connected, by subject. Beneath the subjects, which open and use it."""

from resolvers.runtimes.accounts import AccountsRuntime, Eraser
from resolvers.runtimes.catalog import CatalogRuntime
from resolvers.runtimes.ops import Jobs, OpsRuntime
from resolvers.runtimes.playback import PlaybackRuntime
from resolvers.runtimes.sources import Media, SourcesRuntime

__all__ = [
    "AccountsRuntime",
    "CatalogRuntime",
    "Eraser",
    "Jobs",
    "Media",
    "OpsRuntime",
    "PlaybackRuntime",
    "SourcesRuntime",
]
