from tests.privacy.world import shared_world, world  # noqa: F401 - fixtures
