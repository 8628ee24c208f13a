"""How many random examples a test tries: all under CI=true, a part of them while one develops."""

from __future__ import annotations

import os

IS_FULL = os.environ.get("CI") == "true"


def share_of(examples: int, *, are_new: bool = False) -> int:
    """Say how many of all examples a run tries: all under CI=true, a sixth else.

    Args:
        are_new: each run tries others, so that many runs try many; then a third.
    """
    return examples if IS_FULL else max(1, examples // (3 if are_new else 6))
