"""Every setting is described and shown to operators."""

from __future__ import annotations

from server.commands import env_example
from services.settings.settings import Settings
from tests.house.house import ROOT


def test_env_example_is_in_step() -> None:
    # given the file that operators copy, then it is what the settings say (else: make env)
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example.build_text()


def test_env_example_shows_every_setting() -> None:
    text = env_example.build_text()
    assert [name for name in Settings.model_fields if f"\n# {name.upper()}=" not in text] == []


def test_every_setting_has_a_description() -> None:
    fields = Settings.model_fields.items()
    assert [name for name, field in fields if not (field.description or "").strip()] == []


def test_env_example_as_it_is_changes_nothing() -> None:
    # given a file copied without a change, when it is read, then every default stands
    assert Settings(_env_file=ROOT / ".env.example") == Settings(_env_file=None)
