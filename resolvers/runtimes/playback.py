"""What watching has connected: sessions, progress and its way to MongoDB."""

from __future__ import annotations

from dataclasses import dataclass

from services.playback.buffer import ProgressBuffer
from services.playback.dead_letters import DeadLetters
from services.playback.layout import ProgressLayout
from services.playback.notifications import ProgressNotifications
from services.playback.personal_keys import PersonalKeys
from services.playback.repairs import RepairFlag
from services.playback.sessions import ViewingSessions
from services.playback.stream import ProgressStream


@dataclass(frozen=True, slots=True)
class PlaybackRuntime:
    """Open sessions, their progress in Redis, its way to MongoDB, and notifications of it."""

    sessions: ViewingSessions
    progress: ProgressBuffer
    stream: ProgressStream
    dead_letters: DeadLetters
    repairs: RepairFlag
    layout: ProgressLayout
    personal_keys: PersonalKeys
    notifications: ProgressNotifications
