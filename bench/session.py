"""One kept connection to one of our servers in development, which tells what its tiers did."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

from bench.processes import BenchError
from services.accounts.token_keys import open_keys
from services.accounts.tokens import AccessTokens
from services.settings.settings import Settings


class Session:
    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(
        self, query: str, variables: dict[str, Any], *, as_editor: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The answer's data and `extensions.cache`.

        Raises:
            BenchError: the answer has errors, or is none.
        """
        headers = {"content-type": "application/json"}
        if as_editor:
            headers["authorization"] = f"Bearer {_editors_token()}"
        body = {"query": query, "variables": variables, "extensions": {"cache": True}}
        self._connection.request("POST", "/graphql", json.dumps(body), headers)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        if response.status != 200 or "errors" in answer:
            raise BenchError(f"{query.split('(')[0]}: {json.dumps(answer)[:500]}")
        return answer["data"], answer["extensions"]["cache"]


def answers(port: int) -> bool:
    try:
        Session(port).ask("{ __typename }", {})
    except (OSError, BenchError):
        return False
    return True


def _editors_token() -> str:
    """Signed with the development secret, which the server was started with."""
    tokens = AccessTokens(open_keys(Settings(_env_file=None)), lifetime_seconds=60)
    return tokens.issue(
        user_id="user_bench", role="EDITOR", tier="FREE", login_id="login_bench", now=time.time()
    )
