"""A browser's sign-in in cookies its scripts cannot read, for clients with X-Marquee-Auth.

Other sites' pages can make a browser send cookies, but not that header: a POST with cookies and
without it is refused, unless the browser says that a page of this origin sent it (as with
sendBeacon); a GET is answered as a stranger's. A bearer token wins over cookies. Both cookies are
deleted once the sign-in is over; one that knows the device again stays. Over https their names
begin with `__Host-`, so that no other host of the site can plant them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace

from starlette.types import Scope

from resolvers.accounts.authentication import authenticate
from resolvers.context import Browser, Runtime, Viewer
from server.graphql.naming.addresses import is_endpoint
from server.graphql.replies import Refused
from services.errors import CodedError, ErrorCode, InvalidToken
from services.settings.settings import Settings

HEADER = b"x-marquee-auth"
ACCESS, REFRESH, DEVICE = "marquee_access", "marquee_refresh", "marquee_device"
_PATHS = {ACCESS: "/graphql", REFRESH: "/graphql", DEVICE: "/graphql"}
_WITHOUT_ACCESS = frozenset(
    {"refreshTokens", "login", "register", "logout"} | {"answerSignInChallenge"}
)
_DEVICE_SECONDS = 400 * 86400  # the most that browsers allow
_HOST_PREFIX = "__Host-"  # browsers take those only with Secure, Path=/ and no Domain (RFC 6265bis)
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class RequestCookies:
    """A request's cookies of ours. `has_csrf_header`: it has the header other sites cannot send."""

    access: str | None
    refresh: str | None
    has_csrf_header: bool
    device: str | None = None

    @property
    def authorization(self) -> str | None:
        """The access cookie as an Authorization header's value."""
        return f"Bearer {self.access}" if self.access else None

    @property
    def browser(self) -> Browser | None:
        """The cookie client; None for a client that stores its tokens itself."""
        return Browser(self.refresh, self.device) if self.has_csrf_header else None

    def reject_csrf(self) -> None:
        """Refuse cookies without the header, as another site's page would send them.

        Raises:
            Refused: 403.
        """
        if (self.access or self.refresh) and not self.has_csrf_header:
            message = "A request with our cookies needs the header X-Marquee-Auth."
            raise Refused(403, message, ErrorCode.FORBIDDEN)


_NO_COOKIES = RequestCookies(None, None, False)


def read_cookies(headers: Headers, settings: Settings) -> RequestCookies:
    """Read our cookies from ASGI's headers, by the names that `settings` gives them.

    A cookie that comes twice is ignored: one of the two may be planted.
    """
    names = access, refresh, device = [_name(name, settings) for name in _PATHS]
    values: dict[str, str | None] = {}
    has_csrf_header = False
    for name, value in headers:
        has_csrf_header = has_csrf_header or name == HEADER
        if name != b"cookie":
            continue
        for pair in value.decode("latin-1").split(";"):
            key, _, text = pair.strip().partition("=")
            if key in names:
                values[key] = text if key not in values else None
    return RequestCookies(
        values.get(access), values.get(refresh), has_csrf_header, values.get(device)
    )


async def authenticate_request(
    runtime: Runtime, raw: Headers, headers: Mapping[bytes, bytes], method: str = "POST"
) -> tuple[Viewer | None, Browser | None]:
    """Authenticate by bearer token or cookie.

    Args:
        raw: ASGI's headers.
        headers: the same by name.
        method: of the request; other sites' pages can make GET and HEAD.

    Raises:
        Refused: 401 for a token not in force, 403 for a forged request, 503 when no store answers.
    """
    bearer = headers.get(b"authorization", b"").decode("latin-1")
    may_have_any = b"cookie" in headers or HEADER in headers
    sent = read_cookies(raw, runtime.settings) if may_have_any else _NO_COOKIES
    if not bearer:
        if sent is _NO_COOKIES or (method != "POST" and not sent.has_csrf_header):
            return None, None
        if headers.get(b"sec-fetch-site") == b"same-origin":
            sent = replace(sent, has_csrf_header=True)
        sent.reject_csrf()
    try:
        viewer = await authenticate(runtime, bearer or sent.authorization)
    except InvalidToken as error:
        more = {b"www-authenticate": b'Bearer error="invalid_token"'}
        if not bearer:
            more[b"set-cookie"] = _expired_cookie(ACCESS, runtime.settings)  # its scripts cannot
        raise Refused(401, error.message, error.code, more) from None
    except CodedError as error:
        raise Refused.of(503, error) from None
    return viewer, sent.browser


async def authenticate_scope(
    runtime: Runtime, scope: Scope, headers: Mapping[bytes, bytes]
) -> tuple[Viewer | None, Browser | None]:
    """Authenticate an HTTP request once, whoever asks first; as `authenticate_request`."""
    found: tuple[Viewer | None, Browser | None] | None = scope.get("authenticated")
    if found is None:
        found = await authenticate_request(runtime, scope["headers"], headers, scope["method"])
        scope["authenticated"] = found
    return found


def require_access(browser: Browser | None, viewer: Viewer | None, root_fields: Set[str]) -> None:
    """Require that a browser's sign-in that lasts has a token for this operation.

    Else what was the viewer's a moment ago would be a stranger's, and look like an answer.

    Args:
        root_fields: of the operation; those that sign in, out or on need no token.

    Raises:
        Refused: 401, refresh the tokens.
    """
    has_ended = viewer is None and browser is not None and bool(browser.refresh_token)
    if has_ended and not root_fields <= _WITHOUT_ACCESS:
        error = InvalidToken("The access token has ended: refresh it.")
        more = {b"www-authenticate": b'Bearer error="invalid_token"'}
        raise Refused(401, error.message, error.code, more)


async def find_account(runtime: Runtime, scope: Scope) -> str | None:
    """The id of the signed-in user who sends a request to /graphql; None for everybody else.

    What is wrong with the credentials is told by the endpoint.
    """
    if scope["type"] != "http" or not is_endpoint(scope["path"]):
        return None
    headers = scope.get("headers_by_name") or dict(scope["headers"])
    if b"authorization" not in headers and b"cookie" not in headers:
        return None
    try:
        viewer, _ = await authenticate_scope(runtime, scope, headers)
    except Refused:
        return None
    return viewer.user_id if viewer is not None else None


async def authenticate_cookies(runtime: Runtime, headers: Headers) -> Viewer | None:
    """The access cookie's viewer; None without one. For sockets, whose Origin was checked.

    Raises:
        InvalidToken: the cookie's token is not in force.
    """
    return await authenticate(runtime, read_cookies(headers, runtime.settings).authorization)


def build_set_cookie(browser: Browser, settings: Settings) -> list[bytes]:
    """Values of Set-Cookie for a changed sign-in; none for most answers."""
    if browser.tokens is None:
        return [_expired_cookie(name, settings) for name in (ACCESS, REFRESH) if browser.forgets]
    access, refresh = browser.tokens
    values = [
        _cookie(ACCESS, access, settings.access_token_seconds, settings),
        _cookie(REFRESH, refresh, settings.refresh_token_seconds, settings),
    ]
    if browser.new_device_token is not None:
        values.append(_cookie(DEVICE, browser.new_device_token, _DEVICE_SECONDS, settings))
    return values


def _expired_cookie(name: str, settings: Settings) -> bytes:
    return _cookie(name, "", 0, settings)


def _cookie(name: str, value: str, seconds: int, settings: Settings) -> bytes:
    is_secure = _is_secure(settings)
    path = "/" if is_secure else _PATHS[name]
    text = (
        f"{_name(name, settings)}={value}; Path={path}; Max-Age={seconds}; HttpOnly; "
        "SameSite=Strict"
    )
    return f"{text}; Secure".encode() if is_secure else text.encode()


def _name(name: str, settings: Settings) -> str:
    return _HOST_PREFIX + name if _is_secure(settings) else name


def _is_secure(settings: Settings) -> bool:
    """Whether cookies are `Secure`: browsers drop those over http, as development uses it."""
    return settings.is_production or settings.public_address.startswith("https:")
