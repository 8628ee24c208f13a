"""Every setting, in one frozen model; nothing else reads the environment.

A field's name is its environment variable in lower case. `.env.example` is generated from here
(`make env`), so a description is what an operator reads.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.errors import StartupError

DEVELOPMENT_SECRET = "development-only-secret-change-me-32"  # noqa: S105 - refused in production
_EXAMPLE_SECRETS = {DEVELOPMENT_SECRET, "super_secure_jwt_secret_change_in_production"}


class Environment(Enum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Settings(BaseSettings):
    """Read once at start from the environment and, if present, `.env`."""

    model_config = SettingsConfigDict(frozen=True, env_file=".env", extra="ignore")

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="development or production"
    )
    host: str = Field("127.0.0.1", description="Address the API listens on")
    port: int = Field(5000, ge=0, le=65535, description="Port the API listens on; 0 picks one")
    data_dir: Path = Field(Path(".data"), description="Folder of the private databases and media")
    log_level: str = Field("info", description="debug, info, warning or error")
    public_url: str | None = Field(
        None, description="Address clients reach the API at; default http://HOST:PORT"
    )

    mongodb_uri: str | None = Field(
        None, description="MongoDB replica set; empty in development starts a private mongod"
    )
    mongodb_database: str = Field("marquee", description="Database name")
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

    mongodb_write_concern: str = Field(
        "majority", description="How many members must have a write: majority, or a number"
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
    redis_key_prefix: str = Field("", description="Put before every Redis key and stream")

    jwt_secret: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="Signs tokens and cursors; at least 32 bytes"
    )
    access_token_seconds: int = Field(900, ge=30, description="Life of an access token")
    refresh_token_seconds: int = Field(
        30 * 86400, ge=60, description="Life of a refresh token since its last use"
    )
    trusted_proxies: str = Field(
        "", description="Addresses whose X-Forwarded-For is believed, separated by commas"
    )
    cors_origin: str = Field("", description="Allowed browser origins, separated by commas")
    trusted_hosts: str = Field("*", description="Host headers served, separated by commas")

    graphql_executor: str = Field(
        "plan", pattern="^(plan|core)$", description="plan (breadth-first) or core (graphql-core)"
    )
    graphql_deadline_seconds: float = Field(10, gt=0, description="One operation's deadline")
    graphql_introspection: bool | None = Field(
        None, description="Allow introspection; default only in development"
    )
    max_body_bytes: int = Field(256 * 1024, ge=1024, description="Largest request body")
    cache_tiers: str = Field(
        "answers,memory,redis",
        description="Which tiers answer before MongoDB: any of answers, memory, redis; or none",
    )

    playback_heartbeat_seconds: int = Field(
        10, ge=1, description="How often players are asked to report progress"
    )
    progress_shards: int = Field(
        8, ge=1, le=256, description="Streams of unflushed progress; change only while it is empty"
    )
    progress_shard_entries: int = Field(
        100_000, ge=1, description="Unflushed entries a shard may hold before reports are refused"
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

    cdn_provider: str = Field("passthrough", description="passthrough: assets served by the API")
    provider_deadline_seconds: float = Field(
        2.0, gt=0, description="The whole provider chain's deadline"
    )
    provider_timeout_seconds: float = Field(1.0, gt=0, description="One provider's deadline")
    providers: SecretStr = Field(
        SecretStr("[]"),
        description=(
            'JSON list of configured providers in order, e.g. [{"key":"acme","kind":"json",'
            '"name":"Acme","base_url":"https://api.acme.example","api_key":"..."}]'
        ),
    )

    @property
    def public_address(self) -> str:
        """Where clients reach the API, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def is_production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @property
    def introspection_allowed(self) -> bool:
        if self.graphql_introspection is None:
            return not self.is_production
        return self.graphql_introspection

    @property
    def secret_bytes(self) -> bytes:
        return self.jwt_secret.get_secret_value().encode()

    def redis_address(self) -> str | None:
        """REDIS_URL, else one made of REDIS_HOST, REDIS_PORT and REDIS_PASSWORD, else None."""
        if self.redis_url or not self.redis_host:
            return self.redis_url or None
        password = self.redis_password
        login = f":{password.get_secret_value()}@" if password else ""
        return f"redis://{login}{self.redis_host}:{self.redis_port}/0"


def refuse_unsafe(settings: Settings) -> None:
    """Production starts only with secrets of its own.

    Raises:
        StartupError: names the setting at fault.
    """
    secret = settings.jwt_secret.get_secret_value()
    if len(secret.encode()) < 32:
        raise StartupError("JWT_SECRET is shorter than 32 bytes: set a longer random one.")
    if settings.is_production and secret in _EXAMPLE_SECRETS:
        raise StartupError("JWT_SECRET is a published default: set a random one of your own.")
