"""CloudFront: images by query, as its origin takes them; purging by path, wildcard and tag.

https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html: 3,000 paths
and 15 wildcards may be under way; a tag is an item `#tag`, on a distribution with a CacheTagConfig.
Without one, whatever answers a tag may be on goes with /graphql*. Each path has its price.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from services.cdn.base import (
    Cdn,
    StaleContent,
    Variant,
    is_absolute_url,
    is_svg,
    quote_path,
    require_address,
    require_setting,
    split_batches,
)
from services.cdn.calls import PurgeCalls
from services.cdn.passthrough import build_query
from services.cdn.remote_images import remote_url
from services.cdn.signing import Signer
from services.cdn.tags import TagRules
from services.http_client import HttpClient
from services.settings.settings import Settings

_API = "2020-05-31"
_PER_CALL = 1000
# 50 tags an answer, 256 characters each
CLOUDFRONT_TAGS = TagRules(b"cache-tag", ",", most_tags=50, most_bytes=50 * 257)
_MOST_WILDCARDS = 10
_ANSWERS = "/graphql*"
_BUSY = {b"TooManyInvalidationsInProgress", b"Throttling", b"ThrottlingException"}
_BUSY_SECONDS = 30.0  # an invalidation takes about as long
_CODE = re.compile(rb"<Code>(\w+)</Code>")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CloudFront(Cdn):
    """Adapter of CloudFront; raises StartupError where a setting is missing."""

    def __init__(
        self, settings: Settings, client: HttpClient, now: Callable[[], datetime] = _utc_now
    ) -> None:
        api = require_address("AWS_CLOUDFRONT_API_URL", settings.aws_cloudfront_api_url)
        distribution = require_setting(
            "AWS_CLOUDFRONT_DISTRIBUTION_ID", settings.aws_cloudfront_distribution_id
        )
        secret = settings.aws_secret_access_key.get_secret_value()
        self._base = require_address("AWS_CLOUDFRONT_URL", settings.aws_cloudfront_url)
        self._purge_address = f"{api}/{_API}/distribution/{distribution}/invalidation"
        self._signer = Signer(
            require_setting("AWS_ACCESS_KEY_ID", settings.aws_access_key_id),
            require_setting("AWS_SECRET_ACCESS_KEY", secret).encode(),
            require_setting("AWS_REGION", settings.aws_region),
            "cloudfront",
        )
        self._supports_tags = settings.aws_cloudfront_cache_tags
        self.tag_rules = CLOUDFRONT_TAGS if self._supports_tags else None
        self._now = now
        self._calls = PurgeCalls(client, "CloudFront", settings.cdn_timeout_seconds)

    def _address(self, path: str, variant: Variant) -> str:
        """CloudFront changes no image: SVG scales by itself, so one variant of it will do."""
        if is_absolute_url(path):
            return remote_url(path, variant.width)
        return self._base + quote_path(path) + ("" if is_svg(path) else build_query(variant))

    async def purge(self, stale: StaleContent, reference: str) -> None:
        """Create one invalidation per 1,000 items; raises PurgeFailed."""
        for number, items in enumerate(split_batches(self._items(stale), _PER_CALL)):
            await self._invalidate(items, f"{reference}-{number}")

    def _items(self, stale: StaleContent) -> set[str]:
        paths = {quote_path(path) for path in stale.paths if not is_absolute_url(path)}
        wildcards = {quote_path(prefix) + "*" for prefix in stale.prefixes}
        if stale.tags and not self._supports_tags:
            wildcards.add(_ANSWERS)
        sized = {path for path in paths if not is_svg(path)}  # cached once for each size
        wildcards_of_sizes = {path + "*" for path in sized}
        if len(wildcards | wildcards_of_sizes) > _MOST_WILDCARDS:
            wildcards_of_sizes = {path.rpartition("/")[0] + "/*" for path in sized}
        tags: set[str] = set()
        if self._supports_tags:
            tags = {"#" + tag for tag in CLOUDFRONT_TAGS.purge_forms(stale.tags)}
        return (paths - sized) | wildcards | wildcards_of_sizes | tags

    async def _invalidate(self, items: Sequence[str], reference: str) -> None:
        body = _build_invalidation(items, reference)
        headers = self._signer.headers(
            "POST", self._purge_address, body, self._now(), {"content-type": "application/xml"}
        )
        status, answer = await self._calls.post(self._purge_address, body, headers)
        if status in (200, 201):
            self._calls.count_answered()
            return
        code = _CODE.search(answer)
        if code is not None and code[1] in _BUSY:
            raise self._calls.record_busy(_BUSY_SECONDS)
        reason = code[1].decode() if code is not None else str(status)
        raise self._calls.record_failure(f"refused to purge ({reason})", "refused", is_final=True)


def _build_invalidation(items: Sequence[str], reference: str) -> bytes:
    """The same reference with the same items is the same invalidation, however often it is sent."""
    paths = "".join(f"<Path>{escape(item)}</Path>" for item in items)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<InvalidationBatch xmlns="http://cloudfront.amazonaws.com/doc/{_API}/">'
        f"<CallerReference>{escape(reference)}</CallerReference>"
        f"<Paths><Items>{paths}</Items><Quantity>{len(items)}</Quantity></Paths>"
        "</InvalidationBatch>"
    ).encode()
