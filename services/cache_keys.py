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
SEASON = Kind("season", "season:{}", HOUR, DAY)
SEASON_EPISODES = Kind("season_episodes", "season:{}:episodes", 300, DAY)
EPISODE = Kind("episode", "episode:{}", HOUR, DAY)
EPISODE_AT = Kind("episode_at", "episode:at:{}", 300, DAY)
SEARCH = Kind("search", "search:{}", 60, 600)
STREAMING_SOURCES = Kind("streaming_sources", "streaming:sources:{}", HOUR, HOUR)
# A fallback's answer, under the same key: the first provider is asked again sooner.
FALLBACK_SOURCES = Kind("streaming_sources", STREAMING_SOURCES.text, 1800, HOUR)
NO_SOURCES = Kind("streaming_sources", STREAMING_SOURCES.text, 30, 0)

# State, not cache: never evicted, written by one owner each.
USER_SESSION = "user:{}:session"  # 24 h
# Playback's keys end in {p<shard>}, a Redis Cluster tag (progress_keys.py).
USER_PROGRESS = "user:{}:progress:{}:{{p{}}}"  # hash; 7 d once flushed, no end before
USER_UNFLUSHED = "user:{}:unflushed:{{p{}}}"  # sorted set of titles by time; emptied by flushing
VIEWING_SESSION = "session:{}:{{p{}}}"  # hash; 1 h since the last heartbeat
PROGRESS_STREAM = "progress:stream:{{p{}}}"  # entries live until flushed
PROGRESS_DEAD_LETTERS = "progress:dead:{{p{}}}"  # capped
METRICS_STREAM = "metrics:live"
JOB_QUEUE = "jobs:queue"  # ids of jobs to run; capped, MongoDB has the jobs
JOBS_CHANGED = "jobs:changed"  # ids of jobs that changed; capped
TURN = "turn:{}"  # whose turn a periodic thing is; lives for its period

# Beside a cached key: who reads it now, and that it changed moments ago.
LEASE = "lease:"
CHANGED = "changed:"
# Which list pages are cached under a tag: a hash of page key -> what was asked.
LISTS = "lists:{}"
WARMING = "warming"  # held by who fills the caches at start


def tracked_prefixes(prefix: str) -> list[str]:
    """Beginnings of all cached keys, none of them another's beginning."""
    kinds = [value for value in globals().values() if isinstance(value, Kind)]
    return sorted({f"{prefix}{kind.text.split(':')[0]}:" for kind in kinds})
