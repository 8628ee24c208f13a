"""`python -m server keys`, as people run it."""

from __future__ import annotations

from typer.testing import CliRunner

from server.__main__ import cli
from services.accounts.token_keys import open_keys
from services.production_check import reject_unsafe_settings
from services.settings.settings import Environment, Settings


def test_a_new_key_is_all_that_production_needs() -> None:
    # when keys are made
    made = [CliRunner().invoke(cli, ["keys", "new"]) for _ in range(2)]
    # then each is another key, and both may stand in the setting as they were printed
    assert [one.exit_code for one in made] == [0, 0]
    settings = Settings(
        _env_file=None,
        environment=Environment.PRODUCTION,
        jwt_secret="a secret of the test suite, 32 bytes and more",
        jwt_private_keys="".join(one.stdout for one in made),
    )
    reject_unsafe_settings(settings)
    first, second = open_keys(settings)
    assert (first.algorithm, second.algorithm) == ("EdDSA", "EdDSA")
    assert first.id != second.id
