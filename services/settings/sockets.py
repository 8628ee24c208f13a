"""Settings of WebSockets: number, message rate and idle time, per process."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class SocketSettings(BaseSettings):
    """A part of `Settings`."""

    sockets_per_viewer: int = Field(
        20, ge=1, description="WebSockets one account may have open, per process"
    )
    sockets_per_address: int = Field(
        200, ge=1, description="WebSockets one address (IPv6: its /64) may have open, per process"
    )
    socket_messages_per_second: float = Field(
        50,
        gt=0,
        description="Messages a WebSocket may send for long; four seconds' worth may come at once",
    )
    socket_idle_seconds: float = Field(
        60, gt=0, description="How long a WebSocket without sign-in may be open and run nothing"
    )
    socket_expiry_warning_seconds: float = Field(
        60, ge=0, description="How long before its token expires a WebSocket is asked for a new one"
    )
