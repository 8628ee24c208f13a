"""Tags in a header: whatever they are, within the CDN's limits, and named by each purge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cdn.cloudflare import Cloudflare
from services.cdn.cloudfront import CLOUDFRONT_TAGS
from services.cdn.fastly import Fastly
from services.cdn.passthrough import Passthrough
from services.cdn.tags import TagRules, encode_tag
from services.redis import cache_keys

KINDS = [*{start.rstrip(":") for start in cache_keys.cached_prefixes("")}, "movies"]
IDS = st.text(min_size=1, max_size=300) | st.integers(0, 10**6).map("{:05}".format)
TAGS = st.builds("{}:{}".format, st.sampled_from(KINDS), IDS)
ALL_RULES = {
    "cloudflare": Cloudflare.tag_rules,
    "cloudfront": CLOUDFRONT_TAGS,
    "fastly": Fastly.tag_rules,
}
MOST = {  # tags, bytes, characters of one; what each service documents
    "cloudflare": (1_000, 16 * 1024, 1024),
    "cloudfront": (50, 50 * 257, 256),
    "fastly": (10**6, 16 * 1024, 1024),
}


def rules_of(name: str) -> TagRules:
    rules = ALL_RULES[name]
    assert rules is not None
    return rules


def rendered(name: str, tags: set[str]) -> list[str]:
    rules = rules_of(name)
    line = rules.render(tags)
    assert line is not None
    return line[1].decode("ascii").split(rules.separator)


@pytest.mark.parametrize("name", ALL_RULES)
@given(tags=st.sets(TAGS, min_size=1, max_size=80))
def test_no_header_breaks_the_rule_of_its_cdn(name: str, tags: set[str]) -> None:
    tokens = rendered(name, tags)
    most_tags, most_bytes, most_characters = MOST[name]
    assert len(tokens) == len(set(tokens)) <= most_tags
    assert sum(map(len, tokens)) + len(tokens) - 1 <= most_bytes
    assert all(0 < len(token) <= most_characters for token in tokens)
    assert all("!" <= character <= "~" for token in tokens for character in token)


@pytest.mark.parametrize("name", ALL_RULES)
@given(tags=st.sets(TAGS, min_size=1, max_size=80))
def test_a_purge_of_any_tag_names_one_that_was_rendered(name: str, tags: set[str]) -> None:
    tokens = set(rendered(name, tags))
    for tag in tags:
        assert rules_of(name).purge_forms([tag]) & tokens


@pytest.mark.parametrize("name", ALL_RULES)
def test_tags_beyond_the_limit_become_one_for_their_kind(name: str) -> None:
    # given far more films than fit, of one list
    films = {f"movie:movie_{number:05}" for number in range(1_500)}
    tokens = rendered(name, films | {"movies:all", "genre:genre_drama"})
    # then the films have one tag, and what is rarer keeps its own
    assert tokens == ["any:movie", "genre:genre_drama", "movies:all"]


def test_few_tags_are_as_exact_as_they_are() -> None:
    tags = {"movie:movie_1", "movies:genre:drama"}
    for name in ALL_RULES:
        assert set(rendered(name, tags)) == tags


def test_what_does_not_fit_even_so_is_cached_by_nobody() -> None:
    rules = TagRules(b"cache-tag", ",", most_tags=2, most_bytes=100)
    assert rules.render({"a:1", "b:1", "c:1"}) is None
    assert encode_tag("a:1") == "a:1"


def test_an_answer_that_no_purge_could_name_is_kept_by_no_cache() -> None:
    class Narrow(Passthrough):
        tag_rules = TagRules(b"cache-tag", ",", most_tags=1, most_bytes=100)

    cdn = Narrow("")
    assert cdn.render_tags({"movie:1"}) == ((b"cache-tag", b"movie:1"),)
    lines = dict(cdn.render_tags({"movie:1", "person:1"}))
    assert lines == {b"cache-control": b"no-store", b"cdn-cache-control": b"no-store"}
