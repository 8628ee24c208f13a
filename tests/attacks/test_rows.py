"""The table of threats: each row is tried here, or by the tests it names; and how much is tried."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks import payloads

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

# Row -> tests elsewhere that try it (too), as `file::the beginning of a test's name`.
ROWS: dict[str, list[str]] = {
    "aliases": ["tests/graph/engine/test_limits.py::test_hostile_documents_are_refused"],
    "depth": ["tests/graph/engine/test_limits.py::test_a_document_twice_as_long"],
    "cost": ["tests/graph/engine/test_limits.py::test_products_of_lists_are_refused"],
    "tokens": ["tests/graph/engine/test_limits.py::test_what_is_too_long_is_not_even_read"],
    "body size and form": [
        "tests/server/graphql/test_bad_requests.py::test_over_the_network_a_megabyte"
    ],
    "directives and quadratic validation": [],
    "circular and exponential fragments": [],
    "batching": [],
    "introspection and suggestions": [
        "tests/graph/engine/test_limits.py::test_introspection_switched_off_is_refused_over_the_socket"
    ],
    "CSRF and XS-search": [
        "tests/server/graphql/test_cookies.py::test_a_cookie_without_the_header"
    ],
    "CORS": ["tests/server/graphql/test_cookies.py::test_a_trusted_origin_may_send_cookies"],
    "NoSQL operators": [],
    "regex search": [],
    "cursors": [],
    "ids and ownership": [
        "tests/privacy/test_reading.py::test_what_ada_may_read_nobody_else_can",
        "tests/privacy/test_matrix.py::test_what_is_adas_nobody_else_can_change",
    ],
    "mass assignment and secret fields": [],
    "values at their limits": [],
    "access tokens": ["tests/walks/test_token_attacks.py::test_all_bad_tokens_get_one_answer"],
    "key rotation": ["tests/services/accounts/test_token_keys.py::"],
    "mailed and refresh tokens": [
        "tests/walks/test_token_attacks.py::test_ten_racing_refreshes_give_one_session",
        "tests/walks/test_token_attacks.py::test_a_replayed_refresh_token_ends_the_whole_sign_in",
    ],
    "login and reset enumeration": [
        "tests/resolvers/accounts/test_sign_in.py::test_a_wrong_password_and_an_unknown_address",
        "tests/services/limits/test_throttles.py::test_many_addresses_together",
    ],
    "X-Forwarded-For": [
        "tests/server/middleware/test_abuse_guard.py::test_without_trusted_proxies_even_loopback_is_not_believed"
    ],
    "rate limit": [
        "tests/server/graphql/test_rate_limits.py::test_over_the_limit_is_429",
        "tests/chaos/test_rate_limits.py::test_two_processes_let_exactly_the_limit_through",
    ],
    "WebSocket messages": [
        "tests/server/graphql/test_websocket.py::test_a_silent_client_is_closed"
    ],
    "legacy graphql-ws": [
        "tests/server/graphql/test_websocket.py::test_no_other_subprotocol_is_spoken"
    ],
    "many and big messages": [
        "tests/server/graphql/test_websocket_limits.py::test_a_flood_of_messages_closes",
        "tests/server/graphql/test_websocket_limits.py::test_empty_fragments_have_an_end",
    ],
    "slow consumers": [
        "tests/server/graphql/test_websocket_limits.py::test_a_client_that_does_not_read_is_cut_off"
    ],
    "a token that ends during a stream": [
        "tests/server/graphql/test_websocket_tokens.py::test_who_lets_a_token_expire_is_closed",
        "tests/server/graphql/test_websocket_tokens.py::test_a_revoked_sign_in_loses_its_sockets",
    ],
    "cross-site WebSocket hijacking": [],
    "cache poisoning": ["tests/privacy/test_caches.py::test_an_answer_with_anything_personal"],
    "SSRF and providers": [
        "tests/services/providers/test_vidking.py::test_a_redirect_is_not_followed"
    ],
    "provider keys": [
        "tests/services/providers/test_vidking.py::test_its_key_is_in_no_log_and_no_error",
        "tests/services/tmdb/test_client.py::test_the_key_is_in_no_log",
    ],
    "secrets and forged lines in logs": [],
    "error masking": ["tests/graph/base/test_errors.py::test_a_value_of_ours_that_does_not_fit"],
    "Host and path confusion": [
        "tests/services/media/test_library.py::test_no_path_leads_out_of_the_folder"
    ],
    "request smuggling": [],
    "slow clients": ["tests/server/graphql/test_bad_requests.py::test_a_body_that_never_ends"],
}
LEAST = 150


@pytest.fixture(scope="module", autouse=True)
def _all_written() -> None:
    """Attacks register as their files are read; a run of this file alone reads them all."""
    for file in sorted(HERE.glob("test_*.py")):
        importlib.import_module(f"tests.attacks.{file.stem}")


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table_is_tried(row: str) -> None:
    assert payloads.attempts_by_row().get(row) or ROWS[row], row
    for reference in ROWS[row]:
        file, _, name = reference.partition("::")
        text = (ROOT / file).read_text()
        assert re.search(rf"def {name or 'test_'}\w*\(", text), reference


def test_what_is_tried_belongs_to_a_row() -> None:
    assert set(payloads.attempts_by_row()) <= set(ROWS)


def test_enough_is_tried(record_property: Callable[[str, object], None]) -> None:
    count = payloads.count_distinct()
    record_property("distinct_payloads", count)
    print(f"{count} distinct payloads in {len(payloads.attempts_by_row())} rows")
    assert count >= LEAST
