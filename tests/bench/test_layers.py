"""A profiler's stacks are divided among layers, and drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from bench.layers import LAYERS, OTHER, count_layers, layer_of, spend
from bench.picture import draw
from bench.profile import PAGE, layer_table, replace_table

_LOOP = "run (/python/lib/python3.11/asyncio/runners.py:118)"
_DOOR = "answer (/checkout/server/door/requests.py:40)"
_DRIVER = "find (/env/lib/python3.11/site-packages/pymongo/collection.py:7)"
_WAIT = "Condition.wait (/python/lib/python3.11/threading.py:327)"
_ENUM = "__get__ (/python/lib/python3.11/enum.py:200)"


def test_the_innermost_frame_that_has_a_layer_decides() -> None:
    assert layer_of([_LOOP, _DOOR, _DRIVER]) == "MongoDB and records"
    assert layer_of([_LOOP, _DOOR]) == "HTTP"


def test_the_standard_library_counts_for_its_caller() -> None:
    assert layer_of([_LOOP, _DOOR, _DRIVER, _ENUM]) == "MongoDB and records"
    assert layer_of([_LOOP]) == OTHER


def test_what_runs_the_loop_is_no_layer() -> None:
    serve = "serve (/env/lib/python3.11/site-packages/uvicorn/server.py:71)"
    assert layer_of(["main (/checkout/server/__main__.py:9)", serve, _LOOP]) == OTHER


def test_each_floor_of_the_house_has_a_layer() -> None:
    # given a module of each floor
    modules = {
        "services/telemetry/logs.py": "logs and metrics",
        "services/limits/rate_limit.py": "limits",
        "services/accounts/tokens.py": "accounts",
        "services/playback/buffer.py": "Redis",
        "services/cache/cache.py": "loaders and cache",
        "models/catalog/reads.py": "MongoDB and records",
        "loaders/catalog.py": "loaders and cache",
        "resolvers/catalog/movies.py": "resolvers and fields",
        "graph/catalog/movies.py": "resolvers and fields",
        "graph/engine/execution/run.py": "plan and documents",
        "server/short_http.py": "HTTP",
    }
    # when their frames are looked at, then each is told by its own
    found = {module: layer_of([f"call (/checkout/{module}:1)"]) for module in modules}
    assert found == modules


def test_samples_are_summed_over_stacks() -> None:
    # given lines of a profile, one of a thread that waits, the last one empty
    lines = [f"{_LOOP};{_DOOR} 3", f"{_LOOP};{_DOOR};{_DRIVER} 5", f"{_LOOP};{_DOOR};{_ENUM} 2"]
    lines += [f"run (/checkout/services/telemetry/log_queue.py:9);{_WAIT} 90", ""]
    # when they are counted
    samples = count_layers(lines)
    # then a request's time is divided as they are
    assert samples == {"HTTP": 5, "MongoDB and records": 5}
    spent = spend(samples, 2.0)
    assert (spent["HTTP"], spent["Redis"], sum(spent.values())) == (1.0, 0.0, 2.0)
    assert tuple(spent) == LAYERS


def test_bars_of_an_item_share_one_scale() -> None:
    # given an item that became three times as cheap
    layers = {"before": {"HTTP": 3.0}, "now": {"HTTP": 1.0}}
    # when it is drawn
    drawn = draw({"browse": layers}, {"browse": 0.25})
    picture = ElementTree.fromstring(drawn)  # noqa: S314 - our own text
    # then one bar is three times as long as the other
    rects = picture.iter("{http://www.w3.org/2000/svg}rect")
    widths = [float(rect.get("width", "0")) for rect in rects if rect.get("height") == "18"]
    assert len(widths) == 2
    assert abs(widths[0] / widths[1] - 3) < 0.01


def test_the_table_has_each_layer_before_and_now() -> None:
    # given one item of two versions
    versions = {"before": spend({"HTTP": 1}, 0.3), "now": spend({"HTTP": 1, "limits": 1}, 0.2)}
    # when the table is written
    rows = [row.split("|") for row in layer_table({"browse": versions}).splitlines()]
    # then each layer has both, in microseconds, with their sum and the floor
    cells = {row[1].strip(): row[2].strip() for row in rows}
    assert cells["HTTP"] == "300 → 100"
    assert cells["limits"] == "0 → 100"
    assert (cells["**all**"], cells["floor"]) == ("300 → 200", "250")


def test_the_table_is_written_into_its_place_on_the_page() -> None:
    # given the page as it is
    page = PAGE.read_text()
    # when another table is written into it, twice
    once = replace_table(page, "| a table |")
    # then only that place changed, and the page takes the next one
    assert once.count("| a table |") == 1
    assert once.startswith(page[: page.index("<!-- written")])
    assert once.endswith(page[page.index("<!-- end -->") :])
    assert replace_table(once, "| a table |") == once
