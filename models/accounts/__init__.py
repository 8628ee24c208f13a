"""Accounts, sign-ins, API keys, mails, revocations as stored."""
