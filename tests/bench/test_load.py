"""What a load generator is given and what it prints."""

from __future__ import annotations

from pathlib import Path

from bench.items import SEQUENCE_MARK, Request
from bench.load import write_requests
from bench.load_asyncio import MARK, prepare_request


def test_a_request_survives_the_file_between_bench_and_generator(tmp_path: Path) -> None:
    # given requests, one with a body and a sequence number, one without
    headers = {"content-type": "application/json", "authorization": "Bearer x.y"}
    written = [
        Request("POST", "/graphql", headers, f'{{"n":{SEQUENCE_MARK}}}'),
        Request("GET", "/graphql?query=%7Bx%7D", {"if-none-match": '"tag"'}),
    ]
    # when they are written and prepared
    write_requests(tmp_path / "requests.tsv", written)
    lines = (tmp_path / "requests.tsv").read_text().splitlines()
    post, get = (prepare_request(line, 5000) for line in lines)
    # then they are HTTP with each header once, the number still to be set
    assert post.startswith(b"POST /graphql HTTP/1.1\r\nhost: 127.0.0.1:5000\r\n")
    assert b"\r\nauthorization: Bearer x.y\r\n" in post
    assert post.endswith(b"\r\ncontent-length: 16\r\n\r\n" + b'{"n":8888888888}')
    assert MARK in post
    assert get.endswith(b'\r\nif-none-match: "tag"\r\n\r\n')
    assert b"content-length" not in get
