"""What is installed is told: in the bill of materials, and by licence."""

from __future__ import annotations

import json

from server.commands.sbom import build_text, list_components
from tests.house.house import ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_the_bill_of_materials_is_in_step_with_the_lock() -> None:
    # given the file, then it is what the lock says (else: make lock)
    text = (ROOT / "sbom.cdx.json").read_text(encoding="utf-8")
    assert text == build_text(LOCK)
    document = json.loads(text)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")


def test_every_pin_is_a_component_with_its_version() -> None:
    components = list_components(LOCK)
    pins = [line for line in LOCK.splitlines() if "==" in line.split(";")[0]]
    assert len({one["bom-ref"] for one in components}) == len(components) == len(pins)
    assert {"beanie", "pyotp", "redis"} < {one["name"] for one in components}
    by_name = {one["name"]: one for one in list_components("a-b[c]==1.2.3 ; x\nd==4\n    # via a")}
    assert by_name["a-b"]["purl"] == "pkg:pypi/a-b@1.2.3"
    assert list(by_name) == ["a-b", "d"]


def test_every_package_has_its_licence_in_the_list() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    rows = [line.split("|")[2] for line in page.splitlines() if line.startswith("| ")]
    listed = {name.strip() for row in rows for name in row.split(",")}
    assert {one["name"] for one in list_components(LOCK)} - listed == set()
    assert "ffmpeg" in page and "GPL-3.0" in page
