"""Name of this process, as others see it: consumer groups, claimed jobs."""

from __future__ import annotations

import os
import secrets
import socket
from functools import cache


@cache
def process_name() -> str:
    """Name this process uniquely; made when first asked for, so that a fork has its own."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
