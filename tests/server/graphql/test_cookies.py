from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest
import structlog.testing

import models
from resolvers.context import Browser, Runtime
from server.graphql import cookies
from services.errors import InvalidToken
from services.settings.settings import Environment, Settings
from tests.support.api_client import connect_runtime, token_for

REGISTER = """
mutation ($email: EmailAddress!) {
  register(input: { email: $email, password: "correct horse battery", displayName: "Ada" }) {
    tokens { accessToken expiresInSeconds refreshToken } viewer { email } errors { code }
  }
}
"""
REFRESH = """
mutation ($token: String) {
  refreshTokens(input: { refreshToken: $token }) {
    tokens { accessToken refreshToken } errors { code }
  }
}
"""
VIEWER = "{ viewer { email } }"
OURS = {"x-marquee-auth": "cookie"}
NOBODY = {"data": {"viewer": None}}


async def post_query(client: httpx.AsyncClient, query: str, **options: Any) -> httpx.Response:
    body = {"query": query, "variables": options.pop("variables", {})}
    return await client.post("/graphql", json=body, **options)


async def registered(
    client: httpx.AsyncClient, email: str = "ada@example.org", **options: Any
) -> httpx.Response:
    response = await post_query(client, REGISTER, variables={"email": email}, **options)
    assert response.json()["data"]["register"]["errors"] == []
    return response


def set_cookies(response: httpx.Response) -> dict[str, dict[str, str]]:
    """By name: the value and the attributes that are set."""
    cookies: dict[str, dict[str, str]] = {}
    for line in response.headers.get_list("set-cookie"):
        ((name, morsel),) = SimpleCookie(line).items()
        attributes = {key: str(value) for key, value in morsel.items() if value != ""}
        cookies[name] = {"value": morsel.value, **attributes}
    return cookies


@pytest.fixture
async def browser(client: httpx.AsyncClient) -> httpx.AsyncClient:
    """Signed in by cookies; it sends them, and nothing else, by itself."""
    await registered(client, headers=OURS)
    return client


async def test_a_browser_keeps_its_tokens_where_scripts_cannot_read_them(
    client: httpx.AsyncClient,
) -> None:
    # when a browser's client registers
    response = await registered(client, headers=OURS)
    # then both tokens are in cookies, and nowhere else
    tokens = response.json()["data"]["register"]["tokens"]
    assert tokens == {
        "accessToken": None,
        "expiresInSeconds": 900,
        "refreshToken": None,
    }
    access, refresh, device = set_cookies(response).values()
    strict = {"httponly": "True", "samesite": "Strict"}
    assert access == {"value": access["value"], "path": "/graphql", "max-age": "900", **strict}
    assert refresh == {
        "value": refresh["value"],
        "path": "/graphql",
        "max-age": str(30 * 86400),
        **strict,
    }
    # and one that knows the device again, long after the sign-in
    assert device == {
        "value": device["value"],
        "path": "/graphql",
        "max-age": str(400 * 86400),
        **strict,
    }
    assert access["value"] not in response.text and refresh["value"] not in response.text
    assert response.headers["cache-control"] == "no-store"


async def test_other_clients_get_no_cookies(client: httpx.AsyncClient) -> None:
    response = await registered(client)
    tokens = response.json()["data"]["register"]["tokens"]
    assert len(tokens["refreshToken"]) == 43
    assert "set-cookie" not in response.headers
    refreshed = await post_query(client, REFRESH, variables={"token": tokens["refreshToken"]})
    assert len(refreshed.json()["data"]["refreshTokens"]["tokens"]["refreshToken"]) == 43
    assert "set-cookie" not in refreshed.headers


async def test_a_cookie_with_the_header_signs_in(browser: httpx.AsyncClient) -> None:
    for value in ("cookie", "1", ""):
        response = await post_query(browser, VIEWER, headers={"x-marquee-auth": value})
        assert response.json() == {"data": {"viewer": {"email": "ada@example.org"}}}
        assert "set-cookie" not in response.headers
        assert response.headers["cache-control"] == "no-store"
        assert "Cookie" in response.headers["vary"]


@pytest.mark.parametrize("sent", ["both", "marquee_access", "marquee_refresh"])
async def test_a_cookie_without_the_header_is_a_forgery(
    browser: httpx.AsyncClient, sent: str
) -> None:
    # given a page of another site, which cannot send the header
    if sent != "both":
        cookie_before = next(cookie for cookie in browser.cookies.jar if cookie.name == sent)
        browser.cookies.clear()
        browser.cookies.jar.set_cookie(cookie_before)
    before = await models.Login.get_pymongo_collection().find({}).to_list(None)
    for query in (VIEWER, REFRESH):
        # when it makes the browser ask
        response = await post_query(browser, query)
        # then nothing happens and nothing is told
        assert response.status_code == 403
        assert response.json() == {
            "errors": [
                {
                    "message": "A request with our cookies needs the header X-Marquee-Auth.",
                    "extensions": {"code": "FORBIDDEN"},
                }
            ]
        }
        assert "set-cookie" not in response.headers
    assert await models.Login.get_pymongo_collection().find({}).to_list(None) == before


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("site", ["same-origin", "none", None])
async def test_a_get_without_the_header_is_a_strangers(
    browser: httpx.AsyncClient, method: str, site: str | None
) -> None:
    headers = {"sec-fetch-site": site} if site else {}
    response = await browser.request(method, "/graphql", params={"query": VIEWER}, headers=headers)
    assert response.status_code == 200
    assert method == "HEAD" or response.json() == NOBODY
    assert "set-cookie" not in response.headers
    assert "Cookie" in response.headers["vary"]


async def test_a_beacon_of_our_own_page_needs_no_header(browser: httpx.AsyncClient) -> None:
    beacon = await post_query(browser, VIEWER, headers={"sec-fetch-site": "same-origin"})
    assert beacon.json() == {"data": {"viewer": {"email": "ada@example.org"}}}
    for site in ("same-site", "none", "cross-site", "same-origin, same-origin", "Same-Origin"):
        refused = await post_query(browser, VIEWER, headers={"sec-fetch-site": site})
        assert refused.status_code == 403, site


async def drop_access(browser: httpx.AsyncClient) -> None:
    """As a browser does after the access cookie's Max-Age."""
    browser.cookies.delete("marquee_access")


@pytest.mark.parametrize(
    "query",
    [
        VIEWER,
        "{ __typename }",
        "{ movies(first: 1) { nodes { title } } }",
        "query { ...Root } fragment Root on Query { viewer { email } }",
        'mutation { deleteHistory(input: {playableId: "movie_1"}) { errors { code } } }',
        "mutation { logout { revokedSessions } login: deleteHistory("
        'input: {playableId: "movie_1"}) { errors { code } } }',
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_without_the_access_cookie_a_sign_in_must_be_refreshed(
    browser: httpx.AsyncClient, query: str, method: str
) -> None:
    # given a browser whose access cookie has ended
    await drop_access(browser)
    if method == "GET" and query.startswith("mutation"):
        query = VIEWER
    # when it asks
    part = {"params": {"query": query}} if method == "GET" else {"json": {"query": query}}
    response = await browser.request(method, "/graphql", headers=OURS, **part)  # type: ignore[arg-type]
    # then it is told, and nobody's answer is not taken for the viewer's
    assert response.status_code == 401
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "INVALID_TOKEN"
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert "set-cookie" not in response.headers
    # and after a refresh it goes on
    refreshed = await post_query(browser, REFRESH, headers=OURS)
    assert refreshed.json()["data"]["refreshTokens"]["errors"] == []
    again = await post_query(browser, VIEWER, headers=OURS)
    assert again.json() == {"data": {"viewer": {"email": "ada@example.org"}}}


@pytest.mark.parametrize(
    "mutation",
    [
        "logout { revokedSessions }",
        'login(input: {email: "ada@example.org", password: "no"}) { errors { code } }',
        'register(input: {email: "b@c.de", password: "short", displayName: "B"}) {'
        " errors { code } }",
    ],
)
async def test_signing_in_and_out_needs_no_access_cookie(
    browser: httpx.AsyncClient, mutation: str
) -> None:
    await drop_access(browser)
    response = await post_query(browser, f"mutation {{ {mutation} }}", headers=OURS)
    assert response.status_code == 200
    assert "data" in response.json()


async def test_a_bearer_token_wins_over_cookies(
    browser: httpx.AsyncClient, runtime: Runtime
) -> None:
    # given somebody else's bearer token beside the cookies
    login = await registered(
        httpx.AsyncClient(transport=browser._transport, base_url="http://test"), "bob@example.org"
    )
    token = login.json()["data"]["register"]["tokens"]["accessToken"]
    assert token
    bearer = {"authorization": f"Bearer {token}"}
    # then it says who asks, with the header and without
    for headers in (bearer, bearer | OURS):
        response = await post_query(browser, VIEWER, headers=headers)
        assert response.json() == {"data": {"viewer": {"email": "bob@example.org"}}}
    # and a bad one is not made good by a cookie, nor the cookie taken away
    bad = await post_query(browser, VIEWER, headers={"authorization": "Bearer x", **OURS})
    assert (bad.status_code, "set-cookie" in bad.headers) == (401, False)
    # and without the header the refresh cookie is not used
    refused = await post_query(browser, REFRESH, headers=bearer)
    assert refused.json()["data"]["refreshTokens"]["errors"] == [{"code": "INVALID_TOKEN"}]


async def test_refreshing_by_cookie_gives_new_cookies(browser: httpx.AsyncClient) -> None:
    old = dict(browser.cookies)
    response = await post_query(browser, REFRESH, headers=OURS)
    payload = response.json()["data"]["refreshTokens"]
    assert payload["errors"] == []
    assert payload["tokens"]["refreshToken"] is None
    new = dict(browser.cookies)
    assert payload["tokens"]["accessToken"] is None
    assert new["marquee_access"] != old["marquee_access"]
    assert new["marquee_refresh"] != old["marquee_refresh"]
    # and the new one works in its turn
    again = await post_query(browser, REFRESH, headers=OURS)
    assert again.json()["data"]["refreshTokens"]["errors"] == []


async def test_a_refresh_token_as_an_argument_moves_into_cookies(client: httpx.AsyncClient) -> None:
    tokens = (await registered(client)).json()["data"]["register"]["tokens"]
    variables = {"token": tokens["refreshToken"]}
    moved = await post_query(client, REFRESH, variables=variables, headers=OURS)
    assert moved.json()["data"]["refreshTokens"]["tokens"]["refreshToken"] is None
    assert set(set_cookies(moved)) == {"marquee_access", "marquee_refresh"}


async def test_signing_out_takes_the_cookies_back(browser: httpx.AsyncClient) -> None:
    # given a browser that kept a copy of its cookies
    cookies_before = dict(browser.cookies)
    # when it signs out
    response = await post_query(browser, "mutation { logout { revokedSessions } }", headers=OURS)
    # then it has no cookies any more
    assert response.json() == {"data": {"logout": {"revokedSessions": 1}}}
    assert {name: one["max-age"] for name, one in set_cookies(response).items()} == {
        "marquee_access": "0",
        "marquee_refresh": "0",
    }
    assert {one["path"] for one in set_cookies(response).values()} == {"/graphql"}
    assert set(browser.cookies) == {"marquee_device"}
    assert (await post_query(browser, VIEWER, headers=OURS)).json() == NOBODY
    # and the copy is worth nothing
    cookie = {"cookie": f"marquee_access={cookies_before['marquee_access']}", **OURS}
    assert (await post_query(browser, VIEWER, headers=cookie)).status_code == 401
    again = await post_query(
        browser, REFRESH, variables={"token": cookies_before["marquee_refresh"]}
    )
    assert again.json()["data"]["refreshTokens"]["errors"] == [{"code": "INVALID_TOKEN"}]


async def test_cookies_of_a_sign_in_that_is_over_are_taken_back(
    browser: httpx.AsyncClient, runtime: Runtime
) -> None:
    # given a browser whose sign-in was ended elsewhere
    (login,) = await models.Login.get_pymongo_collection().find({}).to_list(None)
    await models.revoke_logins(login["user_id"], models.utc_now(), only=login["_id"])
    await runtime.accounts.revocations.revoke_login(login["_id"], at=runtime.clock())
    # when it asks, then it is refused like any bad token, and rid of the access cookie
    refused = await post_query(browser, VIEWER, headers=OURS)
    assert refused.status_code == 401
    assert refused.json()["errors"][0]["extensions"] == {"code": "INVALID_TOKEN"}
    assert set_cookies(refused)["marquee_access"]["max-age"] == "0"
    assert set(browser.cookies) == {"marquee_refresh", "marquee_device"}
    # when it tries to refresh, then it is rid of that one as well
    failed = await post_query(browser, REFRESH, headers=OURS)
    assert failed.json()["data"]["refreshTokens"]["errors"] == [{"code": "INVALID_TOKEN"}]
    assert {one["max-age"] for one in set_cookies(failed).values()} == {"0"}
    assert set(browser.cookies) == {"marquee_device"}
    # and goes on as nobody
    assert (await post_query(browser, VIEWER, headers=OURS)).json() == NOBODY


async def test_cookies_make_no_difference_to_a_public_answer_and_a_personal_one_is_nobody_s_to_keep(
    client: httpx.AsyncClient, demo_catalog: None, settings: Settings
) -> None:
    if settings.graphql_executor == "core":
        pytest.skip("graphql-core's answers are not kept whole: only plans know what they are of")
    # given a public answer, which shared caches may keep
    query = {"query": "{ genres { slug } }"}
    public = await client.get("/graphql", params=query)
    assert public.headers["cache-control"].startswith("public")
    # when it is asked for with cookies, read or not, then it is the same, and tells of nobody
    await registered(client, headers=OURS)
    for headers in ({}, {"cookie": "theme=dark"}, OURS, {**OURS, "cookie": "theme=dark"}):
        response = await client.get("/graphql", params=query, headers=headers)
        assert response.content == public.content
        for name in ("etag", "cache-control", "vary"):
            assert response.headers[name] == public.headers[name]
        assert not {"set-cookie", "ratelimit"} & set(response.headers)
        known = {"if-none-match": public.headers["etag"], **headers}
        assert (await client.get("/graphql", params=query, headers=known)).status_code == 304
    # and what is personal may be kept by no cache, whatever it is asked with
    personal = {"query": "{ viewer { email } genres { slug } }"}
    for headers in (OURS, {**OURS, "cookie": "theme=dark"}):
        response = await client.get("/graphql", params=personal, headers=headers)
        assert response.headers["cache-control"] == "no-store"
        assert "Cookie" in response.headers["vary"]
        known = {"if-none-match": public.headers["etag"], **headers}
        assert (await client.get("/graphql", params=personal, headers=known)).status_code == 200


@pytest.fixture
async def live(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """An app whose browsers come from another origin than its own."""
    own = runtime.settings.model_copy(update={"cors_origin": "https://web.example"})
    async with connect_runtime(replace(runtime, settings=own)) as client:
        yield client


async def test_a_sign_in_from_another_site_is_warned_of_once(
    live: httpx.AsyncClient,
) -> None:
    # given a page whose origin is allowed, on another site than the API
    other = {**OURS, "origin": "https://web.example", "sec-fetch-site": "cross-site"}
    with structlog.testing.capture_logs() as logged:
        for number in range(2):
            await registered(live, f"ada{number}@example.org", headers=other)
    # then the log says so once, with what to do
    (line,) = [one for one in logged if one["event"] == "sign_in_from_other_site"]
    assert (line["origin"], "SameSite" in line["hint"]) == ("https://web.example", True)


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", None])
async def test_a_sign_in_from_this_site_is_warned_of_never(
    live: httpx.AsyncClient, site: str | None
) -> None:
    said = {"sec-fetch-site": site} if site else {}
    with structlog.testing.capture_logs() as logged:
        await registered(live, headers={**OURS, **said})
        live.cookies.clear()
        await registered(live, "bob@example.org", headers=said)  # keeps its tokens itself
    assert [one for one in logged if one["event"] == "sign_in_from_other_site"] == []


async def test_a_trusted_origin_may_send_cookies_and_no_other(live: httpx.AsyncClient) -> None:
    asks = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type, x-marquee-auth",
    }
    trusted = await live.options("/graphql", headers={"origin": "https://web.example", **asks})
    assert trusted.status_code == 200
    assert trusted.headers["access-control-allow-origin"] == "https://web.example"
    assert trusted.headers["access-control-allow-credentials"] == "true"
    for origin in ("https://evil.example", "null", "https://web.example.evil.example"):
        other = await live.options("/graphql", headers={"origin": origin, **asks})
        assert other.status_code == 400
        assert "access-control-allow-origin" not in other.headers


def secure(**changes: Any) -> set[bool]:
    settings = Settings(_env_file=None, **changes)
    browser = Browser()
    browser.keep("a", "b", None)
    return {line.endswith(b"; Secure") for line in cookies.build_set_cookie(browser, settings)}


def test_cookies_are_secure_but_on_plain_http_in_development() -> None:
    assert secure() == {False}
    assert secure(public_url="https://films.example") == {True}
    assert secure(public_url="http://films.example") == {False}
    assert secure(environment=Environment.PRODUCTION, public_url="http://films.example") == {True}


SECURE = (
    {"public_url": "https://films.example"},
    {"environment": Environment.PRODUCTION, "public_url": "http://films.example"},
)


@pytest.mark.parametrize("changes", SECURE)
def test_secure_cookies_can_be_planted_by_no_other_host(changes: dict[str, Any]) -> None:
    # given sign-ins kept, and given up
    settings = Settings(_env_file=None, **changes)
    kept, given_up = Browser(), Browser()
    kept.keep("a", "b", "c")
    given_up.forget()

    # then each cookie has what browsers ask of the prefix, whatever is done with them
    for browser in (kept, given_up):
        lines = [line.decode() for line in cookies.build_set_cookie(browser, settings)]
        names = [line.partition("=")[0] for line in lines]
        tokens = ["__Host-marquee_access", "__Host-marquee_refresh"]
        assert names == tokens + (["__Host-marquee_device"] if browser is kept else [])
        for line in lines:
            attributes = line.split("; ")[1:]
            assert {"Path=/", "Secure", "HttpOnly", "SameSite=Strict"} < set(attributes)
            assert not [each for each in attributes if each.lower().startswith("domain")]

    # and cookies of the plain names are nobody's
    planted = [(b"cookie", b"marquee_access=a; marquee_refresh=r")]
    sent = cookies.read_cookies(planted, settings)
    assert (sent.access, sent.refresh) == (None, None)
    own = [(b"cookie", b"__Host-marquee_access=a; __Host-marquee_refresh=r; marquee_access=x")]
    sent = cookies.read_cookies(own, settings)
    assert (sent.access, sent.refresh) == ("a", "r")


@pytest.mark.parametrize(
    ("lines", "access", "refresh"),
    [
        (["marquee_access=a; marquee_refresh=r"], "a", "r"),
        (["marquee_access=a", "theme=dark;marquee_refresh=r"], "a", "r"),
        (["theme=dark"], None, None),
        (["marquee_access"], "", None),
        (["marquee_access=; marquee_refresh==="], "", "=="),
        (["x_marquee_access=a; MARQUEE_ACCESS=a; marquee_access2=a"], None, None),
        # planted beside the real one, by another host of the domain: which is which?
        (["marquee_access=a; marquee_access=b; marquee_refresh=r"], None, "r"),
        (["marquee_access=a; marquee_access=b; marquee_access=a"], None, None),
        (["marquee_access=a", "marquee_access=a"], None, None),
        ([";;=;==; =marquee_access"], None, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_cookies_are_read_as_sent(
    lines: list[str], access: str | None, refresh: str | None
) -> None:
    raw = [(b"cookie", line.encode()) for line in lines]
    sent = cookies.read_cookies(raw, Settings(_env_file=None))
    assert (sent.access, sent.refresh, sent.has_csrf_header) == (access, refresh, False)
    assert sent.browser is None


async def test_a_sockets_viewer_is_read_from_its_cookie(runtime: Runtime) -> None:
    good = token_for(runtime)
    viewer = await cookies.authenticate_cookies(
        runtime, [(b"cookie", b"marquee_access=" + good.encode())]
    )
    assert viewer is not None and viewer.login_id == "login_1"
    assert await cookies.authenticate_cookies(runtime, [(b"cookie", b"theme=dark")]) is None
    with pytest.raises(InvalidToken):
        await cookies.authenticate_cookies(runtime, [(b"cookie", b"marquee_access=x")])
