"""Public types of accounts."""

from graph.accounts import (
    account_edits,
    accounts,
    address_change,
    administration,
    api_keys,
    preferences,
    second_factor,
    sessions,
    tiers,
)
