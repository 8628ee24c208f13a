"""How many random examples a test tries: all under CI=true, a third while one develops."""

from __future__ import annotations

import os

IS_FULL = os.environ.get("CI") == "true"


def share_of(examples: int) -> int:
    """Return `examples` under CI=true, else a third of them."""
    return examples if IS_FULL else max(1, examples // 3)
