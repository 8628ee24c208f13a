"""Public types of accounts."""

from graph.accounts import (
    account_edits,
    accounts,
    administration,
    api_keys,
    preferences,
    sessions,
    tiers,
)
