"""The APIs of Cloudflare, Cloudinary, Fastly and CloudFront on loopback, as far as purging goes.

They hold callers to what is documented: keys, signatures, shapes and limits. `failures` are given
first, one a request.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from xml.etree import ElementTree

from services.settings.settings import Settings
from tests.support.fake_server import serve_on_free_port

TOKEN, ZONE = "cloudflare-token", "023e105f4ecef8ad9ca31a8372d0c353"
CLOUD, API_KEY, API_SECRET = "demo", "874837483274837", "abcd-secret"
SERVICE = "SU1Z0isxPaozGVKXdv0eY"
DISTRIBUTION, ACCESS_KEY, SECRET_KEY = "EDFDVBD6EXAMPLE", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG"
XMLNS = "{http://cloudfront.amazonaws.com/doc/2020-05-31/}"


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: dict[str, str] = {}
    seconds: float = 0.0


class Seen(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class FakeCdn:
    """`purged` is what was dropped, in order, by what was named: files, tags, prefixes, images,
    paths."""

    port: int = 0
    files_per_call: int = 30
    failures: list[Answer] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)  # items that fail their whole request
    seen: list[Seen] = field(default_factory=list)
    purged: list[tuple[str, list[str]]] = field(default_factory=list)
    references: dict[str, list[str]] = field(default_factory=dict)  # CloudFront's invalidations
    references_lost: int = 0  # invalidations that are made, but answered with 500

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def dropped(self) -> set[str]:
        return {item for _, items in self.purged for item in items}

    def dropped_exactly(self) -> set[str]:
        """Without the tags that stand for all of a kind, which every purge names beside."""
        return {item for item in self.dropped() if not item.startswith("any:")}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        seen = Seen(scope["path"], headers, body)
        self.seen.append(seen)
        answer = self.failures.pop(0) if self.failures else self._answer(scope["method"], seen)
        await asyncio.sleep(answer.seconds)
        named = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": named})
        await send({"type": "http.response.body", "body": answer.body})

    def _answer(self, method: str, seen: Seen) -> Answer:
        if method != "POST":
            return Answer(405)
        if seen.path == f"/client/v4/zones/{ZONE}/purge_cache":
            return self._cloudflare(seen)
        if seen.path == f"/v1_1/{CLOUD}/image/destroy":
            return self._cloudinary(seen)
        if seen.path == f"/2020-05-31/distribution/{DISTRIBUTION}/invalidation":
            return self._cloudfront(seen)
        if seen.path.startswith((f"/service/{SERVICE}/purge", "/purge/cdn.example.com/")):
            return self._fastly(seen)
        return Answer(404, b"<ErrorResponse><Error><Code>NoSuchDistribution</Code></Error>")

    # ---- https://developers.cloudflare.com/api/resources/cache/methods/purge/

    def _cloudflare(self, seen: Seen) -> Answer:
        if seen.headers.get("authorization") != f"Bearer {TOKEN}":
            return _json(403, success=False, errors=[{"code": 10000, "message": "Authentication"}])
        request = json.loads(seen.body)
        (what, items), *others = request.items()
        most = self.files_per_call if what == "files" else 30
        is_known = what in ("files", "tags", "prefixes") and not others
        well = all(_suits_cloudflare(what, item) for item in items)
        if not (is_known and 1 <= len(items) <= most and well) or self.refused & set(items):
            return _json(400, success=False, errors=[{"code": 1012, "message": "Bad purge"}])
        self.purged.append((what, items))
        return _json(200, success=True, errors=[], messages=[], result={"id": ZONE})

    # ---- https://cloudinary.com/documentation/image_upload_api_reference#destroy

    def _cloudinary(self, seen: Seen) -> Answer:
        login = base64.b64encode(f"{API_KEY}:{API_SECRET}".encode()).decode()
        if seen.headers.get("authorization") != f"Basic {login}":
            return _json(401, error={"message": "Invalid credentials"})
        form = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
        if form.get("invalidate") != "true" or form.get("type") != "fetch":
            return _json(400, error={"message": "Missing parameters"})
        if form["public_id"] in self.refused:
            return _json(400, error={"message": "Invalid public id"})
        self.purged.append(("images", [form["public_id"]]))
        return _json(200, result="not found" if "never-seen" in form["public_id"] else "ok")

    # ---- https://www.fastly.com/documentation/reference/api/purging/

    def _fastly(self, seen: Seen) -> Answer:
        if seen.headers.get("fastly-key") != TOKEN:
            return _json(401, msg="Provided credentials are missing or invalid")
        keys = seen.headers.get("surrogate-key", "").split()
        if seen.path.endswith("/purge_all"):
            what, items = "everything", ["*"]
        elif seen.path.startswith("/purge/"):
            what, items = "files", ["https://" + seen.path.removeprefix("/purge/")]
        else:
            what, items = "tags", keys
        is_soft = seen.headers.get("fastly-soft-purge") == "1"
        well = 1 <= len(items) <= 256 and is_soft == (what != "everything")
        if not well or self.refused & set(items):
            return _json(400, msg="Bad request")
        self.purged.append((what, items))
        return _json(200, id="108-1391560174-974124")

    # ---- https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html

    def _cloudfront(self, seen: Seen) -> Answer:
        if not _is_signed(seen):
            return aws_error(403, "SignatureDoesNotMatch")
        batch = ElementTree.fromstring(seen.body)  # noqa: S314 - ours
        items = [str(path.text) for path in batch.iter(f"{XMLNS}Path")]
        reference = str(batch.findtext(f"{XMLNS}CallerReference"))
        quantity = int(batch.findtext(f"{XMLNS}Paths/{XMLNS}Quantity") or 0)
        if quantity != len(items):
            return aws_error(400, "InconsistentQuantities")
        if not all(map(_suits_cloudfront, items)) or self.refused & set(items):
            return aws_error(400, "InvalidArgument")
        if len(items) > 3000 or sum(item.endswith("*") for item in items) > 15:
            return aws_error(400, "TooManyInvalidationsInProgress")
        if self.references.get(reference, items) != items:
            return aws_error(400, "InvalidationBatchAlreadyExists")
        if reference not in self.references:
            self.references[reference] = items
            self.purged.append(("paths", items))
        if self.references_lost:
            self.references_lost -= 1
            return Answer(500)
        return Answer(201, b"<Invalidation><Status>InProgress</Status></Invalidation>")


def _json(status: int, **body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/json"})


def aws_error(status: int, code: str) -> Answer:
    return Answer(status, f"<ErrorResponse><Error><Code>{code}</Code></Error>".encode())


def _suits_cloudflare(what: str, item: str) -> bool:
    if what == "files":
        return item.startswith(("https://", "http://"))
    if what == "prefixes":
        return "://" not in item and "?" not in item
    return bool(re.fullmatch(r"[!-+\--~]{1,1024}", item))


def _suits_cloudfront(item: str) -> bool:
    if item.startswith("#"):
        return bool(re.fullmatch(r"[!-+\--~]{1,256}", item[1:]))
    return item.startswith("/") and len(item) <= 4000 and "*" not in item[:-1] and " " not in item


def _is_signed(seen: Seen) -> bool:
    """Signature Version 4, written once more and in another way than ours."""
    match = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/us-east-1/cloudfront/aws4_request, "
        r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
        seen.headers.get("authorization", ""),
    )
    if match is None or match[1] != ACCESS_KEY or "host" not in match[3].split(";"):
        return False
    lines = f"POST\n{seen.path}\n\n"
    for name in match[3].split(";"):
        lines += f"{name}:{seen.headers[name]}\n"
    lines += f"\n{match[3]}\n{hashlib.sha256(seen.body).hexdigest()}"
    scope = f"{match[2]}/us-east-1/cloudfront/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{seen.headers['x-amz-date']}\n{scope}\n"
    text += hashlib.sha256(lines.encode()).hexdigest()
    key = f"AWS4{SECRET_KEY}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest() == match[4]


def settings_for(provider: str, url: str, **changes: Any) -> Settings:
    """Of an installation at https://api.example.com whose CDN's API is at this address."""
    values: dict[str, Any] = {
        "public_url": "https://api.example.com",
        "cdn_provider": provider,
        "cloudflare_cdn_url": "https://cdn.example.com/",
        "cloudflare_api_key": TOKEN,
        "cloudflare_zone_id": ZONE,
        "cloudflare_api_url": f"{url}/client/v4",
        "cloudinary_cloud_name": CLOUD,
        "cloudinary_api_key": API_KEY,
        "cloudinary_api_secret": API_SECRET,
        "cloudinary_api_url": f"{url}/v1_1",
        "fastly_cdn_url": "https://cdn.example.com",
        "fastly_service_id": SERVICE,
        "fastly_api_token": TOKEN,
        "fastly_api_url": url,
        "aws_cloudfront_url": "https://d1.cloudfront.net",
        "aws_cloudfront_distribution_id": DISTRIBUTION,
        "aws_cloudfront_api_url": url,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
    }
    return Settings(_env_file=None, **(values | changes))


@asynccontextmanager
async def run_server() -> AsyncIterator[FakeCdn]:
    fake = FakeCdn()
    async with serve_on_free_port(fake) as fake.port:
        yield fake
