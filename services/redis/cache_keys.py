"""Every key we keep in Redis: text, lifetime, version; one line each.

`stale_seconds` is how much longer an entry may answer when nothing better can. A changed record
shape gets a new `version`: older entries are misses.
"""

from __future__ import annotations

from dataclasses import dataclass

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of cached thing; `text` has a place for each part of its key."""

    name: str
    text: str
    fresh_seconds: int
    stale_seconds: int
    version: int = 1
    missing_seconds: int = 30

    def key(self, *parts: str) -> str:
        return self.text.format(*parts)


MOVIE = Kind("movie", "movie:{}", HOUR, DAY)
MOVIE_LIST = Kind("movie_list", "movie:list:{}:{}", 300, DAY)
MOVIE_BY_TMDB = Kind("movie_by_tmdb", "movie:tmdb:{}", HOUR, DAY)
MOVIE_BY_IMDB = Kind("movie_by_imdb", "movie:imdb:{}", HOUR, DAY)
PERSON = Kind("person", "person:{}", HOUR, DAY)
PERSON_TITLES = Kind("person_titles", "person:{}:titles", 300, DAY)
GENRE = Kind("genre", "genre:{}", HOUR, DAY)
GENRE_LIST = Kind("genre_list", "genre:list", HOUR, DAY)
GENRE_FIGURES = Kind("genre_figures", "genre:figures", 300, DAY)
MOVIE_COUNT = Kind("movie_count", "movie:count:{}", 300, DAY)
SHOW = Kind("show", "show:{}", HOUR, DAY)
SHOW_LIST = Kind("show_list", "show:list:{}", 300, DAY)
SHOW_COUNT = Kind("show_count", "show:count:{}", 300, DAY)
SHOW_BY_TMDB = Kind("show_by_tmdb", "show:tmdb:{}", HOUR, DAY)
SHOW_SEASONS = Kind("show_seasons", "show:{}:seasons", 300, DAY)
SHOW_EPISODES = Kind("show_episodes", "show:{}:episodes", 300, DAY)
SEASON = Kind("season", "season:{}", HOUR, DAY)
SEASON_EPISODES = Kind("season_episodes", "season:{}:episodes", 300, DAY)
EPISODE = Kind("episode", "episode:{}", HOUR, DAY)
EPISODE_AT = Kind("episode_at", "episode:at:{}", 300, DAY)
SEARCH = Kind("search", "search:{}", 60, 600)
STREAMING_SOURCES = Kind("streaming_sources", "streaming:sources:{}", HOUR, HOUR)
# A fallback's answer, under the same key: the first provider is asked again sooner.
FALLBACK_SOURCES = Kind("streaming_sources", STREAMING_SOURCES.text, 1800, HOUR)
NO_SOURCES = Kind("streaming_sources", STREAMING_SOURCES.text, 30, 0)
EMBED = Kind("embed", "streaming:embed:{}", HOUR, HOUR)
FALLBACK_EMBED = Kind("embed", EMBED.text, 1800, HOUR)
PROVIDER_SETTINGS = Kind("provider_settings", "provider:settings", 60, DAY)
PROVIDER_STATUS = Kind("provider_status", "provider:status:{}", 30, 0)
PROVIDER_SEARCH = Kind("provider_search", "provider:search:{}", 300, 0)

# State, not cache: never evicted, written by one owner each.
USER_SESSION = "user:{}:session"  # 24 h
# Playback's keys end in {p<shard>}, a Redis Cluster tag (progress_keys.py).
USER_PROGRESS = "user:{}:progress:{}:{{p{}}}"  # hash; 7 d once flushed, no end before
USER_UNFLUSHED = "user:{}:unflushed:{{p{}}}"  # sorted set of titles by time; emptied by flushing
USER_VIEWING = "user:{}:sessions:{{p{}}}"  # sorted set of sessions by when last heard; 1 h
VIEWING_SESSION = "session:{}:{{p{}}}"  # hash; 1 h since the last heartbeat
PROGRESS_STREAM = "progress:stream:{{p{}}}"  # entries live until flushed
PROGRESS_CHANGED = "progress:changed:{{p{}}}"  # a channel: "user playable" of each change
USER_OFFLINE_EVENTS = "user:{}:offline:{{p{}}}"  # sorted set of event ids seen; the newest, 30 d
PROGRESS_DEAD_LETTERS = "progress:dead:{{p{}}}"  # capped
METRICS_STREAM = "metrics:live"
JOB_QUEUE = "jobs:queue"  # ids of jobs to run; capped, MongoDB has the jobs
JOBS_CHANGED = "jobs:changed"  # ids of jobs that changed; capped
PURGES_READY = "purges:ready"  # a list, capped: ids of purges that may go out, with their tags
# Breakers share one script, so one server: {{breakers}} is a Redis Cluster tag.
BREAKER = "breaker:{}:{{breakers}}"  # a day since it last changed; no end while forced
BREAKERS_CHANGED = "breakers:changed:{breakers}"  # how they stood when they changed; capped
THROTTLE = "throttle:{}:{}"  # tries at a thing, of whom; two of its windows
REVOCATIONS = "revocations"  # a stream of what ended early; capped, MongoDB has it too
# The abuse watch's share scripts, as breakers do. Of a prefix: its score, till it is forgotten.
ABUSE_PREFIX = "abuse:{}:{{abuse}}"
ABUSE_DOCUMENTS = "abuse:{}:documents:{{abuse}}"  # digests of what it sent in a minute
ABUSE_STATUSES = "abuse:standings:{abuse}"  # a hash, capped: prefixes held to something
PERIOD_CLAIM = "turn:{}"  # whose turn a periodic thing is; lives for its period

# Beside a cached key: who reads it now, and that it changed moments ago.
LEASE = "lease:"
CHANGED = "changed:"
# Which list pages are cached under a tag: a hash of page key -> what was asked.
LISTS = "lists:{}"
RATE_LIMIT = "ratelimit:{}:{}"  # by tier and user or address; two windows; lost without harm
WARMING = "warming"  # held by who fills the caches at start


def tracked_prefixes(prefix: str) -> list[str]:
    """Beginnings of all cached keys, none of them another's beginning."""
    kinds = [value for value in globals().values() if isinstance(value, Kind)]
    return sorted({f"{prefix}{kind.text.split(':')[0]}:" for kind in kinds})
