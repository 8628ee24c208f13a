"""What documents cost in memory: bounded by bytes, and refused ones by next to nothing."""

from __future__ import annotations

import gc
import tracemalloc

from graph.engine.documents import Documents
from graph.schema import CONFIG, schema

FIELDS = "id title year overview runtimeSeconds rating voteCount"


def _refused(number: int) -> str:
    unknown = " ".join(f"unknown{number}_{at}" for at in range(100))
    return f"{{ movies(first: 1) {{ nodes {{ {unknown} }} }} }}"


def test_refused_documents_keep_neither_syntax_tree_nor_traceback() -> None:
    documents = Documents(schema, CONFIG, introspection=False)
    documents.get(_refused(-1))
    texts = [_refused(number) for number in range(50)]
    # when fifty of 1.5 KB are refused
    tracemalloc.start()
    for text in texts:
        document = documents.get(text)
        assert len(document.errors) >= 5
        assert all(error.nodes is None for error in document.errors)
        assert document.errors[0].locations
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # then each keeps its messages, not the 60 KB that it was read into
    assert kept < 50 * 15_000


def test_valid_documents_leave_with_their_plans_when_their_bytes_are_used_up() -> None:
    # given room for 2 MB
    documents = Documents(schema, CONFIG, introspection=False, max_bytes=2_000_000)
    for number in range(100):
        text = f"query Q{number} {{ movies {{ nodes {{ {FIELDS} similar {{ {FIELDS} }} }} }} }}"
        operation = documents.get(text).operation(None)
        documents.plan(operation, {})
        # then documents and plans stay within it
        assert documents._by_text.bytes <= 2_000_000
    assert 10 < len(documents._by_text) < 100
    # and what left is read anew
    parsed = documents.counters.parsed
    documents.get(f"query Q0 {{ movies {{ nodes {{ {FIELDS} similar {{ {FIELDS} }} }} }} }}")
    assert documents.counters.parsed == parsed + 1
