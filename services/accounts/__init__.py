"""Passwords, tokens, revocations, mail."""
