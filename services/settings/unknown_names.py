"""Names that look like settings and are none: mistyped ones, which would else be passed over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from services.settings.settings import Settings

_LIKENESS = 0.8  # of 1: a letter or two in a name of ten
_ENV_FILE = Path(".env")
_LINK = re.compile(r"_PORT_[0-9]+_|_SERVICE_(HOST|PORT)")  # Kubernetes' own, of a service's name
_LEAST_FAMILY = 3  # settings that begin with the same word
_SHARED_WORDS = {"AWS", "PUBLIC", "MAX", "HTTP"}  # other programs' names begin with them, too


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name that is no setting; `nearest` is the setting it may stand for."""

    name: str
    nearest: str | None

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return f"write {self.nearest}" if self.nearest else "remove it"


def find_unknown_names(
    environment: Mapping[str, str | None] | None = None, env_file: Path = _ENV_FILE
) -> list[UnknownName]:
    """Find the unknown names of the environment that look like ours, and all of `.env`.

    Args:
        environment: another than that of the process.
    """
    if environment is None:
        environment = EnvSettingsSource(Settings).env_vars
    known = sorted(name.upper() for name in Settings.model_fields)
    families = _list_families(known)
    own = {name.upper() for name in DotEnvSettingsSource(Settings, env_file=env_file).env_vars}
    unknown = []
    for name in sorted((own | {name.upper() for name in environment}) - set(known)):
        nearest = next(iter(get_close_matches(name, known, 1, _LIKENESS)), None)
        is_like_ours = nearest is not None or name.split("_")[0] in families
        if name in own or (is_like_ours and not _LINK.search(name)):
            unknown.append(UnknownName(name, nearest))
    return unknown


def _list_families(names: Iterable[str]) -> set[str]:
    """First words that several settings have, such as BREAKER."""
    words = [name.split("_")[0] for name in names]
    return {word for word in words if words.count(word) >= _LEAST_FAMILY} - _SHARED_WORDS
