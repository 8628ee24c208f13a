"""Public types of streaming sources."""

from graph.sources import (
    breakers,
    hls,
    provider_search,
    providers,
    sources,
)
