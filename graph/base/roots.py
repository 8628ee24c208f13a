"""The three root types; each subject extends them with its own root fields."""

from __future__ import annotations

import strawberry


@strawberry.type(description="Entry points to read data.")
class Query:
    pass


@strawberry.type(description="Entry points to change data.")
class Mutation:
    pass


@strawberry.type(description="Entry points to receive events as they happen.")
class Subscription:
    pass
