"""The short door: /graphql from the HTTP protocol and back, without ASGI."""
