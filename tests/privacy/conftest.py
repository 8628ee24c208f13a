from tests.privacy.world import world  # noqa: F401 - a fixture
