"""Which tests are run, and which xdist gives to a worker together."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

_TOGETHER = "tests/house/"  # they read and parse the same files, once in a worker
_APART = (  # long, and nothing in them is shared: no worker is to end long after the others
    "tests/graph/engine/test_executors_agree.py",
    "tests/privacy/test_matrix.py",
    "tests/server/commands/test_dev.py",
    "tests/server/commands/test_ingest.py",
)
_EXECUTORS = {"plan", "core"}


def depends_on_executor(item: pytest.Item) -> bool:
    """Say whether GRAPHQL_EXECUTOR matters: the test has a process, and does not choose itself."""
    chosen = item.callspec.params.values() if hasattr(item, "callspec") else ()
    chooses = any(isinstance(value, str) and value in _EXECUTORS for value in chosen)
    return "settings" in getattr(item, "fixturenames", ()) and not chooses


class Scheduling(LoadFileScheduling):
    """A file's tests go to one worker, but for those that had better go together or apart."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_TOGETHER):
            return _TOGETHER
        return nodeid if nodeid.startswith(_APART) else super()._split_scope(nodeid)
