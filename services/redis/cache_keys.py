"""Every key in Redis, one line each: text, lifetime, version.

`stale_seconds` is how much longer an entry may be served when nothing fresh is available. A changed
record gets a new `version`, which makes older entries misses.
"""

from __future__ import annotations

from dataclasses import dataclass

HOUR = 3600
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of cached value; `text` has a placeholder for each part of its key."""

    name: str
    text: str
    fresh_seconds: int
    stale_seconds: int
    version: int = 1
    missing_seconds: int = 30

    def key(self, *parts: str) -> str:
        """Build a key from its parts, without REDIS_KEY_PREFIX."""
        return self.text.format(*parts)

    @property
    def start(self) -> str | None:
        """What every key begins with whose one part ends it; None for keys of another form."""
        start = self.text.removesuffix("{}")
        return start if start != self.text and "{" not in start else None


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
SUGGESTIONS = Kind("suggestions", "search:start:{}", 60, 600)
STREAMING_SOURCES = Kind("streaming_sources", "streaming:sources:{}", HOUR, HOUR)
# A fallback's answer under the same key expires sooner, so that the first provider is called again.
FALLBACK_SOURCES = Kind("streaming_sources", STREAMING_SOURCES.text, 1800, HOUR)
# One that nobody checked, while a checked provider failed.
STOPGAP_SOURCES = Kind("streaming_sources", STREAMING_SOURCES.text, 30, 0)
NO_SOURCES = Kind("streaming_sources", STREAMING_SOURCES.text, 30, 0)
EMBED = Kind("embed", "streaming:embed:{}", HOUR, HOUR)
FALLBACK_EMBED = Kind("embed", EMBED.text, 1800, HOUR)
PROVIDER_SETTINGS = Kind("provider_settings", "provider:settings", 60, DAY)
PROVIDER_STATUS = Kind("provider_status", "provider:status:{}", 30, 0)
PROVIDER_SEARCH = Kind("provider_search", "provider:search:{}", 300, 0)

# State, not cache: never evicted, written by one owner each.
# Playback's keys end in {p<shard>}, a Redis Cluster tag (progress_keys.py).
USER_PROGRESS = "user:{}:progress:{}:{{p{}}}"  # hash; 7 d once flushed, no end before
USER_UNFLUSHED = "user:{}:unflushed:{{p{}}}"  # sorted set of titles by time; emptied by flushing
USER_VIEWING = "user:{}:sessions:{{p{}}}"  # sorted set of sessions by last heartbeat; 1 h
VIEWING_SESSION = "session:{}:{{p{}}}"  # hash; 1 h since the last heartbeat
PROGRESS_STREAM = "progress:stream:{{p{}}}"  # entries live until flushed
PROGRESS_CHANGED = "progress:changed:{{p{}}}"  # a channel: "user playable" of each change
USER_OFFLINE_EVENTS = "user:{}:offline:{{p{}}}"  # sorted set of event ids seen; the newest, 30 d
PROGRESS_LAYOUTS = "progress:layouts"  # a hash: numbers of shards in use, and when that was said
PROGRESS_DEAD_LETTERS = "progress:dead:{{p{}}}"  # capped
METRICS_STREAM = "metrics:live"
JOB_QUEUE = "jobs:queue"  # ids of jobs to run; capped, MongoDB has the jobs
JOBS_CHANGED = "jobs:changed"  # ids of jobs that changed; capped
PURGES_READY = "purges:ready"  # a list, capped: ids of purges that may go out, with their tags
# Breakers share one script, so one server: {{breakers}} is a Redis Cluster tag.
BREAKER = "breaker:{}:{{breakers}}"  # a day since it last changed; no end while forced
BREAKERS_CHANGED = "breakers:changed:{breakers}"  # their status at each change; capped
THROTTLE = "throttle:{}:{}"  # attempts, by throttle and account or address; two windows
REVOCATIONS = "revocations"  # a stream of revoked sign-ins; capped, MongoDB has them too
# The abuse watch's keys share scripts, too. The score of one prefix, until it has decayed.
ABUSE_PREFIX = "abuse:{}:{{abuse}}"
ABUSE_DOCUMENTS = "abuse:{}:documents:{{abuse}}"  # hashes of the documents it sent in a minute
ABUSE_STATUSES = "abuse:standings:{abuse}"  # a hash, capped: prefixes that are restricted
DOCUMENTS_CHANGED = "documents:changed"  # a stream: word of each push and prune; capped
PERIOD_CLAIM = "turn:{}"  # claim on a periodic task; lives for its period
CACHE_HISTORY = "cache:history"  # replication id of the server in whose history entries are

# Beside a cached key: the lease of its reader, and a mark that it changed moments ago.
LEASE = "lease:"
CHANGED = "changed:"
# The list pages cached under a tag: a hash of page key -> digest of the query's description.
LISTS = "lists:{}"
LISTED = "listed:{}"  # a description by its digest
RATE_LIMIT = "ratelimit:{}:{}"  # by tier and user or address; two windows; may be lost
# Texts that clients registered, by their SHA-256, and when each was used; may be lost.
DOCUMENT_TEXTS = "documents:texts:{documents}"
DOCUMENT_USES = "documents:used:{documents}"
WARMING = "warming"  # lease of the process that fills the caches at start


def tracked_prefix(prefix: str) -> str:
    """Build the beginning of marks of change: what client tracking tells a process of.

    Keys themselves are not tracked, or each value that is stored would come back as a change.
    """
    return f"{prefix}{CHANGED}{prefix}"


def cached_prefixes(prefix: str) -> list[str]:
    """List the distinct beginnings of all cached keys, such as `movie:`, after `prefix`."""
    kinds = [value for value in globals().values() if isinstance(value, Kind)]
    return sorted({f"{prefix}{kind.text.split(':')[0]}:" for kind in kinds})
