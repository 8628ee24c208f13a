"""The version of this checkout; tests keep it in step with pyproject.toml."""

from __future__ import annotations

VERSION = "0.1.0"
