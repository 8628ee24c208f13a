"""Rollout of a provider to a share of viewers: always the same ones, more as it grows."""

from __future__ import annotations

import hashlib


def is_in_rollout(provider_key: str, percent: int, viewer_key: str | None) -> bool:
    """Say whether a viewer is in a rollout; one that is in at 10 % is in at 20 %.

    A viewer without a key is in at 100 % only.
    """
    if percent >= 100:
        return True
    if viewer_key is None or percent <= 0:
        return False
    text = f"{provider_key}\x1f{viewer_key}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) % 100 < percent
