"""The software bill of materials (CycloneDX 1.6): what requirements.lock pins, as JSON.

Needs nothing but Python, so that `make lock` can run it as a file before anything is installed.
The same lock gives the same text: no time and no serial number.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_LOCK, _SBOM = _ROOT / "requirements.lock", _ROOT / "sbom.cdx.json"
_PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")


def build_text(lock: str) -> str:
    """Build the document of a lock's text.

    Source: CycloneDX 1.6; package addresses after the purl specification.
    """
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "marquee", "name": "marquee"}},
        "components": list_components(lock),
    }
    return json.dumps(document, indent=1) + "\n"


def list_components(lock: str) -> list[dict[str, Any]]:
    """List the pinned packages in the order of the lock; their files' hashes are there."""
    pins = (_PIN.match(line) for line in lock.splitlines())
    return [_build_component(pin[1].lower(), pin[2]) for pin in pins if pin is not None]


def _build_component(name: str, version: str) -> dict[str, Any]:
    address = f"pkg:pypi/{name}@{version}"
    return {
        "type": "library",
        "bom-ref": address,
        "name": name,
        "version": version,
        "purl": address,
    }


def main() -> None:
    """Write sbom.cdx.json from requirements.lock."""
    _SBOM.write_text(build_text(_LOCK.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{_SBOM.name}: written.\n")


if __name__ == "__main__":
    main()
