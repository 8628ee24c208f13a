"""What each measured server is started with: ours as shipped, the peers in production."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from bench.databases import Addresses
from bench.dataset import DATABASE, ROOT
from bench.items import ITEMS, sha256
from bench.same_work import describe_progress
from bench.targets import Target
from services.accounts.token_keys import generate_pem

PUBLIC_URL = "http://media.bench"  # images have no host, in ours and in the peers
_SIGNING_KEY = generate_pem()  # of all our servers, and of the peer that checks their tokens
_OPERATIONS = json.dumps({sha256(item.text): item.text for item in ITEMS})
_NEVER = str(10**9)

# Counted, compared and enforced as shipped, but above what one address sends here.
RAISED = {
    "RATE_LIMIT_ANONYMOUS_MAX_REQUESTS": _NEVER,
    "RATE_LIMIT_ANONYMOUS_MAX_COST": str(10**12),
    "RATE_LIMIT_MAX_REQUESTS": _NEVER,
    "RATE_LIMIT_MAX_COST": str(10**12),
    "ABUSE_REQUESTS_PER_SECOND": _NEVER,
    "REGISTRATIONS_PER_ADDRESS": "1000",
    "MAILS_PER_ADDRESS": "1000",
    "PROGRESS_SHARD_ENTRIES": "10000000",  # no worker flushes meanwhile
}


def settings(
    target: Target, addresses: Addresses, port: int, more: Mapping[str, str]
) -> dict[str, str]:
    """The environment a target is started with; `more` goes to our servers only."""
    shared = {
        "PORT": str(port),
        "MONGODB_URI": addresses.mongodb_uri,
        "MONGODB_DATABASE": DATABASE,
        "REDIS_URL": addresses.redis_url,
    }
    if target.is_ours:
        return {**shared, **_ours(), **target.environment, **more}
    peer = {"NODE_ENV": "production", "POSTER_BASE": "", "OPERATIONS": _OPERATIONS}
    same_work = {"PROGRESS": describe_progress(_SIGNING_KEY)} if target.redis_of else {}
    return {**shared, **peer, **same_work, **target.environment}


def _ours() -> dict[str, str]:
    return {
        "ENVIRONMENT": "production",
        "PUBLIC_URL": PUBLIC_URL,
        "JWT_SECRET": secrets.token_hex(32),
        "JWT_PRIVATE_KEYS": _SIGNING_KEY,
        "EMAIL_VERIFICATION_REQUIRED": "false",  # its viewers sign up and play at once
        "ACCESS_TOKEN_SECONDS": "86400",  # one sign-in lasts the whole bench
        "DATA_DIR": str(ROOT / ".data/bench/ours"),
        **RAISED,
    }
