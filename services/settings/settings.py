"""Every setting, in one frozen model; nothing else reads the environment.

A field's name is its environment variable in lower case. `.env.example` is generated from here
(`make env`), so a description is what an operator reads.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from services.settings.abuse import AbuseSettings
from services.settings.accounts import AccountSettings
from services.settings.cdn import CdnSettings
from services.settings.connections import ConnectionSettings
from services.settings.documents import DocumentSettings
from services.settings.limits import LimitSettings
from services.settings.process import ProcessSettings
from services.settings.protocols import ProtocolSettings
from services.settings.sockets import SocketSettings

DEVELOPMENT_SECRET = "development-only-secret-change-me-32"  # noqa: S105 - refused in production

_PRODUCTION_DRAIN_SECONDS = 5.0


class Environment(Enum):
    """Where the server runs; PRODUCTION refuses unsafe settings."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Settings(
    AbuseSettings,
    AccountSettings,
    CdnSettings,
    ConnectionSettings,
    DocumentSettings,
    LimitSettings,
    ProcessSettings,
    ProtocolSettings,
    SocketSettings,
):
    """All settings, read once at start from the environment and, if present, `.env`."""

    model_config = SettingsConfigDict(frozen=True, env_file=".env", extra="ignore")

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="development or production"
    )
    host: str = Field("127.0.0.1", description="Address the API listens on")
    port: int = Field(5000, ge=0, le=65535, description="Port the API listens on; 0 picks one")
    data_dir: Path = Field(Path(".data"), description="Folder of the private databases and media")
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error|critical)$",
        description="debug, info, warning, error or critical",
    )
    access_log_sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of request lines in the log, of level info; those of failed requests "
        "are all written",
    )
    public_url: str | None = Field(
        None, description="Address clients reach the API at; default http://HOST:PORT"
    )

    mongodb_uri: str | None = Field(
        None, description="MongoDB replica set; empty in development starts a private mongod"
    )
    mongodb_database: str = Field(
        "marquee", pattern=r"^[^\s/\\.\"$*<>:|?]{1,63}$", description="Database name"
    )
    mongod_binary: str | None = Field(None, description="Path of mongod for the private one")
    mongodb_max_pool_size: int = Field(100, ge=1, description="Connections at most")
    mongodb_min_pool_size: int = Field(10, ge=0, description="Connections kept open")
    mongodb_timeout_ms: int = Field(
        2000, ge=50, description="One MongoDB operation's deadline, retries included, in ms"
    )
    mongodb_server_selection_timeout_ms: int = Field(
        5000,
        ge=50,
        description="How long to look for a server, in ms; the operation's deadline caps it",
    )
    mongodb_socket_timeout_ms: int = Field(45000, ge=50, description="Socket deadline in ms")
    mongodb_lean_reads: bool = Field(
        True, description="Read MongoDB on a short path of our own; off: by PyMongo alone"
    )
    mongodb_write_concern: str = Field(
        "majority",
        pattern="^(majority|[0-9]{1,2})$",
        description="How many members must have a write: majority, or a number",
    )
    mongodb_write_timeout_ms: int = Field(
        5000, ge=50, description="How long a write may wait for those members, in ms"
    )

    redis_url: str | None = Field(
        None, description="Redis; empty in development starts a private redis-server"
    )
    redis_host: str | None = Field(None, description="Used when REDIS_URL is empty")
    redis_port: int = Field(6379, ge=1, le=65535, description="With REDIS_HOST")
    redis_password: SecretStr | None = Field(None, description="With REDIS_HOST")
    redis_server_binary: str | None = Field(
        None, description="Path of redis-server for the private one"
    )
    redis_timeout_ms: int = Field(250, ge=10, description="One Redis command's deadline in ms")
    redis_max_connections: int = Field(50, ge=1, description="Connections at most, per pool")
    redis_lean: bool = Field(
        True,
        description="Send what every request asks of Redis on one pipelined connection of our "
        "own; off: by redis-py alone",
    )
    redis_key_prefix: str = Field("", description="Put before every Redis key and stream")
    state_redis_url: str | None = Field(
        None,
        description="Redis of what must not be evicted: sessions, unflushed progress, jobs; "
        "empty: the same as REDIS_URL",
    )

    jwt_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET),
        description="Signs cursors and media addresses, tokens in development; at least 32 bytes",
    )
    jwt_private_keys: SecretStr = Field(
        SecretStr(""),
        description="Ed25519 keys in PEM, or paths of files with them, separated by commas: the "
        "first signs access tokens, all verify them; empty only in development",
    )
    access_token_seconds: int = Field(900, ge=30, description="Life of an access token")
    refresh_token_seconds: int = Field(
        30 * 86400, ge=60, description="Life of a refresh token since its last use"
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses and networks of our own proxies, separated by commas, whose "
        "X-Forwarded-For is believed; none: clients come straight to us",
    )
    cors_origin: str = Field(
        "",
        description="Allowed browser origins, separated by commas; in development those of this "
        "machine (localhost, any port) are allowed too",
    )
    cors_headers: str = Field(
        "",
        description="Request headers that pages of these origins may send besides those of common "
        "clients, separated by commas",
    )
    trusted_hosts: str = Field("*", description="Host headers served, separated by commas")

    audit_days: int = Field(
        365, ge=0, le=36500, description="How long entries of the audit log are kept; 0: for ever"
    )

    graphql_executor: str = Field(
        "plan", pattern="^(plan|core)$", description="plan (breadth-first) or core (graphql-core)"
    )
    graphql_deadline_seconds: float = Field(10, gt=0, description="One operation's deadline")
    graphql_introspection: bool | None = Field(
        None, description="Allow introspection; default only in development"
    )
    published_documents: str = Field(
        "",
        description="Files of documents by id, separated by commas: what clients of yours send. "
        "They belong to every client; see TRUSTED_DOCUMENTS",
    )
    max_body_bytes: int = Field(256 * 1024, ge=1024, description="Largest request body")
    cache_tiers: str = Field(
        "answers,memory,redis",
        pattern=r"^(none|(answers|memory|redis)( *, *(answers|memory|redis))*)?$",
        description="Which tiers answer before MongoDB: any of answers, memory, redis; or none",
    )

    media_address_seconds: int = Field(
        6 * 3600, ge=60, description="Life of a signed address of one of our own films"
    )
    media_bind_address: bool = Field(
        False,
        description="Films' addresses work only from the client address they were made for; "
        "leave off where viewers change networks",
    )

    playback_heartbeat_seconds: int = Field(
        10, ge=1, description="How often players are asked to report progress"
    )
    playback_streams_free: int = Field(
        2,
        ge=1,
        le=100,
        description="Streams a FREE account may play at once: one, and the device that takes over",
    )
    playback_streams_premium: int = Field(
        4, ge=1, le=100, description="Streams a PREMIUM account may play at once"
    )
    playback_streams_api: int = Field(
        4, ge=1, le=100, description="Streams an API account may play at once"
    )
    progress_completed_percent: float = Field(
        90, gt=0, le=100, description="How much of a title must be behind to count as watched"
    )
    progress_completed_least_seconds: float = Field(
        300, ge=0, description="Titles shorter than this count as watched only at their end (99 %)"
    )
    progress_short_session_seconds: float = Field(
        60,
        ge=0,
        description="How long a new session below the stored position does not take it back",
    )
    progress_shards: int = Field(
        8,
        ge=1,
        le=256,
        description="Streams of unflushed progress; to change it, end all processes first",
    )
    progress_shard_entries: int = Field(
        100_000, ge=1, description="Unflushed entries a shard may hold before reports are refused"
    )
    history_days: int = Field(
        1095, ge=1, le=36500, description="How long a viewing stays in its viewer's history"
    )
    progress_claim_idle_seconds: float = Field(
        30, gt=0, description="When another worker takes over entries read but not flushed"
    )

    tmdb_api_key: SecretStr = Field(
        SecretStr(""), description="TMDb API read access token (a bearer token); empty: TMDb is off"
    )
    tmdb_base_url: str = Field(
        "https://api.themoviedb.org/3", description="Address of TMDb's API, version 3"
    )
    tmdb_timeout_seconds: float = Field(
        5.0, gt=0, description="How long TMDb may be silent in one try of a request"
    )
    tmdb_deadline_seconds: float = Field(
        30.0, gt=0, description="One TMDb request's deadline, pauses and retries included"
    )
    job_claim_idle_seconds: float = Field(
        30, gt=0, description="When another worker takes over a job whose worker fell silent"
    )

    ffmpeg_binary: str | None = Field(
        None, description="Path of ffmpeg; empty looks for the media extra's, then on PATH"
    )
    ingest_preset: str = Field(
        "medium",
        pattern="^(ultrafast|superfast|veryfast|faster|fast|medium|slow|slower|veryslow)$",
        description="How long x264 may look for a smaller picture: ultrafast to veryslow",
    )
    demo_clip: bool = Field(
        True, description="In development, make one short clip that every demo film plays"
    )

    provider_deadline_seconds: float = Field(
        2.0, gt=0, description="The whole provider chain's deadline"
    )
    provider_timeout_seconds: float = Field(1.0, gt=0, description="One provider's deadline")
    provider_hedge_seconds: float = Field(
        0.5,
        gt=0,
        description="When the next provider is asked too, until one's own p95 is known",
    )
    provider_max_calls: int = Field(
        20, ge=1, description="Calls to one provider at the same time, per process"
    )
    breaker_minimum_calls: int = Field(
        20, ge=1, description="Calls in the window before a circuit breaker may open"
    )
    breaker_failure_percent: int = Field(
        50, ge=1, le=100, description="Failed calls, in percent, that open a circuit breaker"
    )
    breaker_slow_percent: int = Field(
        50, ge=1, le=100, description="Slow calls, in percent, that open a circuit breaker"
    )
    breaker_window_seconds: float = Field(
        60, ge=1, description="How far back a circuit breaker counts calls"
    )
    breaker_open_seconds: float = Field(
        60, gt=0, description="How long a circuit breaker stays open before it lets probes through"
    )
    providers: SecretStr = Field(
        SecretStr("[]"),
        description=(
            'JSON list of configured providers in order, e.g. [{"key":"acme","kind":"json",'
            '"name":"Acme","base_url":"https://api.acme.example","api_key":"..."}]'
        ),
    )

    vidking_enabled: bool = Field(False, description="Ask VidKing; needs VIDKING_BASE_URL")
    vidking_base_url: str = Field(
        "",
        description="Address of VidKing's API, as https://vidking.net/api/v1; empty: it is off",
    )
    vidking_api_key: SecretStr = Field(
        SecretStr(""), description="VidKing's key; it goes into the query of what is asked there"
    )
    vidking_priority: int = Field(
        1,
        ge=1,
        le=2,
        description="1: asked before those of PROVIDERS; 2: after them, as a fallback",
    )
    vidsrc_template: str = Field(
        "",
        description="Address of VidSrc's player page for a film, e.g. "
        "https://host/embed/movie/{tmdb_id}; {imdb_id}, {start} (seconds) and {language} are known "
        "too; empty: not for films",
    )
    vidsrc_tv_template: str = Field(
        "",
        description="The same for an episode, with {season} and {episode}; the ids are the show's",
    )
    embed_su_template: str = Field("", description="As VIDSRC_TEMPLATE, for Embed.su")
    embed_su_tv_template: str = Field("", description="As VIDSRC_TV_TEMPLATE, for Embed.su")
    super_embed_template: str = Field("", description="As VIDSRC_TEMPLATE, for SuperEmbed")
    super_embed_tv_template: str = Field("", description="As VIDSRC_TV_TEMPLATE, for SuperEmbed")

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _read_empty_as_unset(cls, value: object, info: ValidationInfo) -> object:
        """A line copied from .env.example and not filled in changes nothing."""
        is_optional = cls.model_fields[info.field_name or ""].default is None
        return None if is_optional and value == "" else value

    @property
    def public_address(self) -> str:
        """Base address of the API for clients, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def public_path(self) -> str:
        """Path that the API is reached under, such as /api; mostly empty."""
        return urlsplit(self.public_url or "").path.rstrip("/")

    @property
    def is_production(self) -> bool:
        """Whether ENVIRONMENT is production."""
        return self.environment is Environment.PRODUCTION

    @property
    def drain_delay_seconds(self) -> float:
        """DRAIN_SECONDS; by default none in development."""
        if self.drain_seconds is None:
            return _PRODUCTION_DRAIN_SECONDS if self.is_production else 0.0
        return self.drain_seconds

    @property
    def needs_verified_email(self) -> bool:
        """EMAIL_VERIFICATION_REQUIRED; by default only in production."""
        if self.email_verification_required is None:
            return self.is_production
        return self.email_verification_required

    @property
    def introspection_allowed(self) -> bool:
        """GRAPHQL_INTROSPECTION; by default only in development."""
        if self.graphql_introspection is None:
            return not self.is_production
        return self.graphql_introspection

    @property
    def secret_bytes(self) -> bytes:
        """JWT_SECRET as bytes."""
        return self.jwt_secret.get_secret_value().encode()

    def redis_address(self) -> str | None:
        """Return REDIS_URL, or an address built from REDIS_HOST, port and password, or None."""
        if self.redis_url or not self.redis_host:
            return self.redis_url or None
        password = self.redis_password
        login = f":{password.get_secret_value()}@" if password else ""
        return f"redis://{login}{self.redis_host}:{self.redis_port}/0"

    def state_redis_address(self) -> str | None:
        """Return STATE_REDIS_URL, or the address of the cache's Redis."""
        return self.state_redis_url or self.redis_address()
