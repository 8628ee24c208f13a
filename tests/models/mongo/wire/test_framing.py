"""Messages of the wire protocol in pieces of any size, and pieces that are no answer."""

from __future__ import annotations

import struct
import tracemalloc

import bson
import pytest
from bson.codec_options import DEFAULT_CODEC_OPTIONS
from hypothesis import given
from hypothesis import strategies as st

from models.mongo.wire.framing import (
    AnswerBuffer,
    MalformedAnswer,
    document_bytes,
    encode_request,
    extract_document,
    next_request_id,
)

ANSWER = {"ok": 1.0, "cursor": {"id": 0, "ns": "films.movies", "firstBatch": [{"_id": "a"}]}}


def answer_to(request_id: int, *, opcode: int = 2013, flags: int = 0, kind: int = 0) -> bytes:
    body = bson.encode(ANSWER)
    header = struct.pack("<iiiiIB", 21 + len(body), 7, request_id, opcode, flags, kind)
    return header + body


def feed_all(buffer: AnswerBuffer, pieces: list[bytes]) -> list[bytes]:
    return [message for piece in pieces if (message := buffer.feed(piece)) is not None]


def test_ids_of_requests_differ_and_cost_no_memory() -> None:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        first = next_request_id()
        for _ in range(20_000):
            last = next_request_id()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert last == first + 20_000
    assert after - before < 20_000  # less than a byte for each


def test_a_request_is_one_message_with_its_length_and_document() -> None:
    message = encode_request(5, {"ping": 1, "$db": "films"}, DEFAULT_CODEC_OPTIONS)
    length, request_id, answers, opcode, flags, kind = struct.unpack_from("<iiiiIB", message)
    assert (length, request_id, answers, opcode, flags, kind) == (len(message), 5, 0, 2013, 0, 0)
    assert bson.decode(message[21:]) == {"ping": 1, "$db": "films"}
    assert document_bytes(message) == len(message) - 21


def test_an_answer_in_two_pieces_is_whole_at_every_boundary() -> None:
    whole = answer_to(3)
    for at in range(1, len(whole)):
        buffer = AnswerBuffer(1_000)
        assert buffer.feed(whole[:at]) is None and not buffer.is_empty
        message = buffer.feed(whole[at:])
        assert message == whole and buffer.is_empty
        assert bson.decode(extract_document(message, 3)) == ANSWER


@given(st.lists(st.integers(1, 40), max_size=60))
def test_answers_in_pieces_of_any_sizes_come_out_one_by_one(sizes: list[int]) -> None:
    # given three answers one after another, each cut into pieces
    buffer = AnswerBuffer(1_000)
    for request_id in (1, 2, 3):
        whole, pieces = answer_to(request_id), []
        for size in sizes:
            pieces.append(whole[:size])
            whole = whole[size:]
        pieces = [piece for piece in [*pieces, whole] if piece]
        # then each comes out whole, once
        assert feed_all(buffer, pieces) == [answer_to(request_id)]


@pytest.mark.parametrize("length", [-1, 0, 21, 1_001])
def test_a_length_that_cannot_be_is_refused_at_once(length: int) -> None:
    with pytest.raises(MalformedAnswer):
        AnswerBuffer(1_000).feed(struct.pack("<i", length))


def test_more_than_one_answer_is_refused() -> None:
    with pytest.raises(MalformedAnswer):
        AnswerBuffer(1_000).feed(answer_to(1) + b"\0")
    buffer = AnswerBuffer(1_000)
    buffer.feed(answer_to(1)[:30])
    with pytest.raises(MalformedAnswer):
        buffer.feed(answer_to(1)[30:] + b"\0")


@pytest.mark.parametrize(
    "message",
    [answer_to(4), answer_to(3, opcode=1), answer_to(3, flags=2), answer_to(3, kind=1)],
    ids=["another request", "opcode", "more to come", "kind"],
)
def test_an_answer_of_another_form_or_to_another_request_is_refused(message: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        extract_document(message, 3)
