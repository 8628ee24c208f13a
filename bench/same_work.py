"""What a peer needs to do the work of our reportProgress: our Lua script, its keys, our public key.

It packs the script's arguments as services/playback/buffer.py does; the check before measuring
fails if the two differ.
"""

from __future__ import annotations

import json

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.accounts.token_keys import Key
from services.playback.progress_scripts import progress_script
from services.playback.sessions import SESSION_SECONDS
from services.playback.state import ProgressState
from services.redis import cache_keys
from services.settings.settings import Settings

_ID, _SHARD = "%id", "%shard"  # replaced by the peer


def describe_progress(signing_pem: str) -> str:
    """As JSON, for the peer's environment (peers/shared/same_work.mjs)."""
    settings = Settings(_env_file=None)
    public = Key.from_pem(signing_pem).verifying
    places = [field.name for field in msgspec.structs.fields(ProgressState)]
    description = {
        "publicKey": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "script": progress_script("report_progress").text.decode(),
        "shards": settings.progress_shards,
        "keys": {
            "session": cache_keys.VIEWING_SESSION.format(_ID, _SHARD),
            "unflushed": cache_keys.USER_UNFLUSHED.format(_ID, _SHARD),
            "stream": cache_keys.PROGRESS_STREAM.format(_SHARD),
            "channel": cache_keys.PROGRESS_CHANGED.format(_SHARD),
        },
        "limits": [SESSION_SECONDS, 10_000_000],
        "rules": [
            settings.progress_completed_percent,
            settings.progress_completed_least_seconds,
            round(settings.progress_short_session_seconds * 1000),
            3 * settings.playback_heartbeat_seconds * 1000,
        ],
        "position": places.index("position_seconds"),
        "duration": places.index("known_duration_seconds"),
    }
    return json.dumps(description)
