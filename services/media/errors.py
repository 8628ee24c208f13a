"""Refusals of an ingest: messages of one line for who runs the command."""

from __future__ import annotations

from services.errors import StartupError


class IngestRefused(StartupError):
    """Refusal of an ingest; nothing of the film is in the library."""


class NotAVideo(IngestRefused):
    """The file cannot be made into renditions; the message says why."""
