"""GraphQL over HTTP (the GraphQL foundation's draft): one request, one answer, never a 500.

POST with a JSON body, or GET for queries. A request that is not well formed is answered with 4xx;
one that is, with 200 for `application/json`, and with the draft's statuses for clients that accept
`application/graphql-response+json`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from graph.base.errors import OUR_FAULTS
from graph.engine.operations import Answer, Operations, Prepared
from resolvers.context import Browser, Context, Runtime, Viewer
from server.graphql import cookies, rate_headers
from server.graphql.batches import Batches, encode_batch, find_scarcest
from server.graphql.bodies import read_body
from server.graphql.cache_headers import describe_caching, is_unchanged, set_edge_time
from server.graphql.disconnect import ClientDisconnected, cancel_on_disconnect
from server.graphql.naming.addresses import check_address, read_target
from server.graphql.naming.client_names import read_client_name
from server.graphql.negotiation.accept import ANYTHING, Accepted, EventStreams, read_accept
from server.graphql.negotiation.methods import WITH_BODY, Methods
from server.graphql.negotiation.statuses import HttpProfile
from server.graphql.other_site import OtherSiteWarning
from server.graphql.replies import Refused, Reply, ReplyInPieces, build_reply, send_reply
from server.graphql.request_memory import RequestMemory
from server.graphql.requests import read_batch, read_request, require_json
from server.graphql.streams.frames import EVENT_STREAM, encode_whole
from server.graphql.streams.streaming import Streaming, can_be_in_parts
from services.cdn.edge import EdgeRefresher
from services.limits.abuse_rules import Signal
from services.telemetry.logs import get_logger

log = get_logger("graphql_http")
_RETRIED = frozenset({429, 503})  # clients of event streams come back by these
AnyReply = Reply | ReplyInPieces
Later = Callable[[Receive], Coroutine[Any, Any, AnyReply]]  # what is waited for, once it can be


class SharedStreams(Protocol):
    """What answers requests about streams that carry several operations."""

    def is_addressed(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request is about one of them."""

    def respond(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        accepted: Accepted,
        context: Context,
        body: bytes,
    ) -> AnyReply:
        """Answer such a request, or raise Refused."""


class GraphQLOverHTTP:
    """The ASGI endpoint of /graphql."""

    def __init__(
        self,
        operations: Operations,
        runtime: Runtime,
        streaming: Streaming,
        edge: EdgeRefresher | None = None,
        shared_streams: SharedStreams | None = None,
    ) -> None:
        self._operations = operations
        self._shared_streams = shared_streams
        self._runtime = runtime
        self._streaming = streaming
        self._edge = edge
        self._clock = time.monotonic
        self._memory = RequestMemory()
        self._other_sites = OtherSiteWarning()
        self._methods = Methods(runtime.settings)
        self._profile = HttpProfile(runtime.settings.http_profile)
        self._batches = Batches(operations, runtime.settings.http_batch_operations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self.respond(scope, dict(scope["headers"]), receive)
        if isinstance(answer, ReplyInPieces):
            await answer(scope, receive, send)
        else:
            await send_reply(send, answer, head_only=scope["method"] == "HEAD")

    async def respond(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
        body: bytes | None = None,
    ) -> AnyReply:
        """Answer a request; its body is received, unless it came with it."""
        accepted = ANYTHING
        if scope["method"] == "OPTIONS":
            return self._methods.describe()
        try:
            accepted = read_accept(headers.get(b"accept"))
            shared = self._find_shared(scope, headers)
            if shared is None:
                self._methods.check(scope["method"])
            check_address(scope)
            if scope["method"] in WITH_BODY:
                require_json(headers)
                if body is None:
                    most_bytes = self._runtime.settings.max_body_bytes
                    body = await read_body(receive, most_bytes, headers)
            if body is not None and shared is None and self._batches.is_batch(scope, body):
                return await self._respond_batch(scope, headers, accepted, body, receive)
            request = read_request(scope, body) if shared is None else None
            viewer, browser = await cookies.authenticate_scope(self._runtime, scope, headers)
            context = self._context(scope, headers, viewer, browser)
            if shared is not None:
                return shared.respond(scope, headers, accepted, context, body or b"")
            assert request is not None
            prepared = await self._operations.admit(request, context)
            return await self._answer(scope, headers, accepted, prepared, context, receive)
        except Refused as refused:
            return self._refuse(scope, accepted, refused)

    def _find_shared(self, scope: Scope, headers: Mapping[bytes, bytes]) -> SharedStreams | None:
        """The shared streams, if there are any and the request is about one."""
        shared = self._shared_streams
        return shared if shared is not None and shared.is_addressed(scope, headers) else None

    def respond_now(self, scope: Scope, headers: dict[bytes, bytes], body: bytes) -> Reply | Later:
        """Answer a stranger's GET or POST at once where nothing is waited for, else later."""
        accepted = ANYTHING
        try:
            accepted = read_accept(headers.get(b"accept"))
            if scope["method"] == "POST":
                require_json(headers)
                if self._batches.is_batch(scope, body):
                    return partial(self.respond, scope, headers, body=body)
            if self._find_shared(scope, headers) is not None:
                return partial(self.respond, scope, headers, body=body)
            known = self._memory.find(scope, body)
            request = known or read_request(scope, body)
            context = self._context(scope, headers, None, None)
            prepared = self._operations.admit_now(request, context)
            if not isinstance(prepared, Answer):
                return partial(self._respond_later, scope, headers, accepted, prepared, context)
            scope["admission"] = context.admission
            if known is None:
                self._memory.remember(scope, body, request)
        except Refused as refused:
            return self._refuse(scope, accepted, refused)
        return self._reply(scope, headers, accepted, prepared)

    async def _respond_later(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        accepted: Accepted,
        admission: Prepared | Coroutine[Any, Any, Prepared | Answer],
        context: Context,
        receive: Receive,
    ) -> AnyReply:
        try:
            prepared = admission if isinstance(admission, Prepared) else await admission
            return await self._answer(scope, headers, accepted, prepared, context, receive)
        except Refused as refused:
            return self._refuse(scope, accepted, refused)

    async def _answer(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        accepted: Accepted,
        prepared: Prepared | Answer,
        context: Context,
        receive: Receive,
    ) -> AnyReply:
        scope["admission"] = context.admission
        if isinstance(prepared, Answer):
            return self._reply(scope, headers, accepted, prepared)
        self._check(scope, prepared, context)
        if prepared.operation.kind == "subscription":
            return self._streaming.subscribe(scope, headers, accepted, prepared, context)
        if can_be_in_parts(accepted, prepared):
            delivery = await self._streaming.deliver(accepted, prepared, context)
            if not isinstance(delivery, Answer):
                return delivery
            return self._reply(scope, headers, accepted, delivery)
        answer = await self._run(prepared, context, receive)
        return self._reply(scope, headers, accepted, answer)

    async def _respond_batch(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        accepted: Accepted,
        body: bytes,
        receive: Receive,
    ) -> Reply:
        """Answer a batch.

        Raises:
            Refused: the whole batch is.
        """
        requests = read_batch(body, self._batches.most)
        viewer, browser = await cookies.authenticate_scope(self._runtime, scope, headers)
        contexts = [self._context(scope, headers, viewer, browser) for _ in requests]
        run = partial(self._run_part, scope, receive=receive)
        answers = await self._batches.run(requests, contexts, run)
        scope["operation_label"] = f"batch of {len(answers)}"
        ran = [one for one in answers if isinstance(one, Answer)]
        scope["failed"] = any(is_our_fault(one) for one in ran)
        if any(one.is_overload for one in ran):
            scope["state"]["is_overloaded"] = True
        extra: dict[bytes, bytes] = {}
        admission = find_scarcest(contexts)
        if admission is not None:
            rate_headers.add_rate_headers(extra, 200, admission)
        set_cookies = self._set_cookies(browser, headers)
        whole = encode_batch(answers)
        return build_reply(200, whole, accepted.content_type, extra, set_cookies)

    def _refuse(self, scope: Scope, accepted: Accepted, refused: Refused) -> Reply:
        self._note_invalid_request(scope, refused.status)
        status = self._profile.status_of_refused(refused)
        return build_reply(status, refused.body(), accepted.content_type, refused.headers)

    def _reply(
        self, scope: Scope, headers: dict[bytes, bytes], accepted: Accepted, answer: Answer
    ) -> Reply:
        content_type = accepted.content_type
        status = self._profile.status_of(answer, content_type)
        extra: dict[bytes, bytes] = {}
        if answer.is_overload:
            extra[b"retry-after"] = b"1"
            scope["state"]["is_overloaded"] = True
        if answer.errors:
            scope["failed"] = is_our_fault(answer)
        set_cookies = self._set_cookies(scope.get("browser"), headers)
        body = answer.encoded()
        is_event = accepted.events is EventStreams.ALWAYS
        is_safe = scope["method"] != "POST" and not is_event
        if is_safe and not answer.errors and answer.started:
            extra = describe_caching(answer, body, self._clock(), has_cookies=bool(set_cookies))
            if self._edge is not None and answer.stored is not None:
                self._edge.note(read_target(scope), headers, answer.stored.cache_keys)
                set_edge_time(extra, answer.stored, self._clock())
            if is_unchanged(headers.get(b"if-none-match"), extra):
                status, body = 304, b""
        admission = scope.get("admission")
        if admission is not None:
            status = rate_headers.add_rate_headers(extra, status, admission)
        if b"cookie" in headers and b"cache-control" not in extra:
            extra[b"vary"] = b"Cookie"
        if is_event and status not in _RETRIED:
            status, body, content_type = 200, encode_whole(body), EVENT_STREAM
        return build_reply(status, body, content_type, extra, set_cookies)

    def _set_cookies(self, browser: Browser | None, headers: dict[bytes, bytes]) -> Sequence[bytes]:
        if browser is None:
            return ()
        if browser.tokens is not None:
            self._other_sites.warn(headers)
        return cookies.build_set_cookie(browser, self._runtime.settings)

    def _note_invalid_request(self, scope: Scope, status: int) -> None:
        """Report requests that are not GraphQL over HTTP: no client of ours sends them."""
        client = scope.get("client")
        if status in (400, 405, 406, 413, 414, 415) and client:
            self._runtime.ops.abuse_watch.record_signal(
                client[0], Signal.INVALID_REQUEST, account=scope.get("account")
            )

    async def _run_part(
        self, scope: Scope, prepared: Prepared | Answer, context: Context, receive: Receive
    ) -> Answer:
        """Run an operation of a batch.

        Raises:
            Refused: it may not come this way.
        """
        if isinstance(prepared, Answer):
            return prepared
        self._check(scope, prepared, context)
        if prepared.operation.kind == "subscription":
            raise Refused(400, "A batch takes no subscriptions.")
        return await self._run(prepared, context, receive)

    def _check(self, scope: Scope, prepared: Prepared, context: Context) -> None:
        """Check that an operation may come this way, and give its name to the log.

        Raises:
            Refused: 401, 405.
        """
        cookies.require_access(context.browser, context.viewer, prepared.operation.root_fields)
        if prepared.operation.kind == "mutation" and scope["method"] != "POST":
            raise _not_allowed("Mutations need POST.", b"POST")
        scope["operation_label"] = prepared.operation.label

    async def _run(self, prepared: Prepared, context: Context, receive: Receive) -> Answer:
        running = self._operations.run(prepared, context)
        if not prepared.operation.cost.is_slow:
            return await running
        try:
            return await cancel_on_disconnect(receive, running)
        except ClientDisconnected:
            raise Refused(499, "The client went away.") from None  # nginx's word for the log

    def _context(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        viewer: Viewer | None,
        browser: Browser | None,
    ) -> Context:
        if browser is not None:
            scope["browser"] = browser
        client = scope.get("client")
        agent = headers.get(b"user-agent")
        return Context(
            self._runtime,
            viewer,
            scope["state"]["request_id"],
            client[0] if client else None,
            agent.decode("latin-1")[:300] if agent else None,
            browser,
            read_client_name(headers),
        )


def is_our_fault(answer: Answer) -> bool:
    """Whether an error of the answer is the server's, not the client's."""
    return any(error["extensions"]["code"] in OUR_FAULTS for error in answer.errors)


def _not_allowed(message: str, allow: bytes) -> Refused:
    return Refused(405, message, headers={b"allow": allow})
