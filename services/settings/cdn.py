"""Settings of the CDN: provider, base addresses and the API for purges."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class CdnSettings(BaseSettings):
    """A part of `Settings`."""

    cdn_provider: str = Field(
        "passthrough",
        description="cloudflare, cloudinary, aws (CloudFront), fastly or passthrough: images are "
        "served by the API, or by a CDN in front of it that is not told of changes",
    )
    cdn_timeout_seconds: float = Field(
        10.0, gt=0, description="How long one purge may take in the CDN's API"
    )
    edge_urls: str = Field(
        "",
        description="Addresses of caches of our own in front, such as nginx, separated by commas; "
        "when something changes, they are made to fetch its answers anew",
    )
    edge_refresh_key: SecretStr = Field(
        SecretStr(""), description="Key that they want with such a request"
    )
    cloudflare_cdn_url: str = Field(
        "", description="Address of the Cloudflare zone, such as https://cdn.example.com"
    )
    cloudflare_api_key: SecretStr = Field(
        SecretStr(""), description="Cloudflare API token with the permission to purge the cache"
    )
    cloudflare_zone_id: str = Field("", description="Cloudflare's id of the zone")
    cloudflare_api_url: str = Field(
        "https://api.cloudflare.com/client/v4", description="Address of Cloudflare's API"
    )
    cloudflare_files_per_purge: int = Field(
        30, ge=1, le=500, description="Addresses in one purge: 30, or 500 on the Enterprise plan"
    )
    cloudinary_cdn_url: str = Field(
        "https://res.cloudinary.com", description="Where Cloudinary's image addresses begin"
    )
    cloudinary_cloud_name: str = Field("", description="Cloudinary's name of the environment")
    cloudinary_api_key: str = Field("", description="Cloudinary's API key")
    cloudinary_api_secret: SecretStr = Field(SecretStr(""), description="Cloudinary's API secret")
    cloudinary_api_url: str = Field(
        "https://api.cloudinary.com/v1_1", description="Address of Cloudinary's Upload API"
    )
    aws_cloudfront_url: str = Field(
        "", description="Address of the distribution, such as https://d111111abcdef8.cloudfront.net"
    )
    aws_cloudfront_distribution_id: str = Field("", description="CloudFront's id of it")
    aws_cloudfront_cache_tags: bool = Field(
        False,
        description="It has a CacheTagConfig: purge by tag; else all of /graphql goes",
    )
    aws_cloudfront_api_url: str = Field(
        "https://cloudfront.amazonaws.com", description="Address of CloudFront's API"
    )
    aws_region: str = Field("us-east-1", description="Region that CloudFront's API is signed for")
    aws_access_key_id: str = Field(
        "", description="Access key that may call cloudfront:CreateInvalidation"
    )
    fastly_cdn_url: str = Field(
        "", description="Address of the Fastly service, such as https://cdn.example.com"
    )
    fastly_service_id: str = Field("", description="Fastly's id of the service")
    fastly_api_token: SecretStr = Field(
        SecretStr(""), description="Fastly API token with the scope purge_select and purge_all"
    )
    fastly_api_url: str = Field("https://api.fastly.com", description="Address of Fastly's API")
    aws_secret_access_key: SecretStr = Field(SecretStr(""), description="Its secret")
