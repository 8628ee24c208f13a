"""Erasure of what playback keeps of a person in Redis, under keys found through MongoDB."""

from __future__ import annotations

import models
from resolvers.runtimes import Eraser
from services.playback.personal_keys import PersonalKeys


def build_eraser(personal_keys: PersonalKeys) -> Eraser:
    """Build the eraser that accounts call, before MongoDB forgets the keys' parts."""

    async def erase(user_id: str) -> bool:
        titles, sessions = await models.personal_playables(user_id)
        return await personal_keys.erase(user_id, titles, sessions)

    return erase
