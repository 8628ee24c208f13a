"""AWS Signature Version 4, as much of it as one POST without a query needs.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, held to
the vectors that AWS publishes. The library that does it all (botocore) is 14 MB and not async.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Signer:
    """Signer of requests to one AWS service; `secret` stays out of every representation."""

    access_key_id: str
    secret: bytes
    region: str
    service: str

    def __repr__(self) -> str:
        return f"Signer({self.access_key_id}, {self.region}, {self.service})"

    def headers(
        self,
        method: str,
        address: str,
        body: bytes,
        now: datetime,
        extra_headers: Mapping[str, str],
    ) -> dict[str, str]:
        """Sign headers (names in lower case), with host, date and signature; `now` in UTC."""
        parts = urlsplit(address)
        at = now.strftime("%Y%m%dT%H%M%SZ")
        headers = {**extra_headers, "host": parts.netloc, "x-amz-date": at}
        names = sorted(headers)
        canonical = "\n".join(
            [
                method,
                quote(parts.path or "/", safe="/~"),
                parts.query,
                *(f"{name}:{headers[name].strip()}" for name in names),
                "",
                ";".join(names),
                hashlib.sha256(body).hexdigest(),
            ]
        )
        scope = f"{at[:8]}/{self.region}/{self.service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signature = self._signature(at[:8], "\n".join([_ALGORITHM, at, scope, digest]))
        credential = f"Credential={self.access_key_id}/{scope}, SignedHeaders={';'.join(names)}"
        return {**headers, "authorization": f"{_ALGORITHM} {credential}, Signature={signature}"}

    def _signature(self, day: str, text: str) -> str:
        key = b"AWS4" + self.secret
        for scope_part in (day, self.region, self.service, "aws4_request"):
            key = hmac.digest(key, scope_part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()
