"""Provider of player pages by a URL template with {tmdb_id} or {imdb_id}.

A second template, with {season} and {episode} too, is for episodes. No call is made, so nobody
knows whether the page is there; what the template needs and a title lacks means that it is not.
"""

from __future__ import annotations

from dataclasses import replace
from string import Formatter
from urllib.parse import quote

from services.errors import StartupError
from services.providers.base import (
    Provider,
    ProviderInfo,
    Source,
    SourceType,
    SupportedHint,
    TitleKind,
    TitleRef,
)

_IDS = {"tmdb_id", "imdb_id"}
_EPISODE = {"season", "episode"}
_OPTIONAL = {"start", "language"}
_START = "{start}"  # stays in the address until `start_at`


class EmbedTemplate(Provider):
    """Provider of player pages; templates may hold {start} (seconds) and {language} too.

    Raises:
        StartupError: a template has other places than these, or none for an id.
    """

    calls_out = False
    embeds = True

    def __init__(
        self, info: ProviderInfo, url_template: str | None, tv_url_template: str | None = None
    ) -> None:
        super().__init__(replace(info, is_checked=False))
        self._templates = {
            kind: (template, _parse_placeholders(template, kind))
            for kind, template in (
                (TitleKind.MOVIE, url_template),
                (TitleKind.TV, tv_url_template),
            )
            if template
        }
        if any("language" in placeholders for _, placeholders in self._templates.values()):
            self.supported_hints = frozenset({SupportedHint.LANGUAGE})

    async def sources(self, title: TitleRef) -> list[Source]:
        """List the one player page, starting at 0; none where the title lacks an id."""
        address = await self.embed(title)
        return [self.source(self.start_at(address, 0), SourceType.EMBED)] if address else []

    async def embed(self, title: TitleRef) -> str | None:
        """Fill the template, leaving {start}; None where the title lacks an id it needs."""
        template, placeholders = self._templates.get(title.kind, ("", set()))
        parameters = {
            "tmdb_id": title.tmdb_id,
            "imdb_id": title.imdb_id,
            "season": title.season,
            "episode": title.episode,
            "language": title.language or "",
        }
        values = {name: parameters[name] for name in placeholders - {"start"}}
        if not template or None in values.values():
            return None
        filled = {name: quote(str(value), safe="") for name, value in values.items()}
        return template.format(**filled, start=_START)

    def start_at(self, address: str, seconds: int) -> str:
        """Fill in {start}."""
        return address.replace(_START, str(seconds))


def _parse_placeholders(template: str, kind: TitleKind) -> set[str]:
    try:
        parts = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError:
        parts = []
    names = {str(name) for _, name, _, _ in parts}
    allowed = _IDS | _OPTIONAL | (_EPISODE if kind is TitleKind.TV else set())
    needed = kind is TitleKind.MOVIE or names >= _EPISODE
    if not names & _IDS or names - allowed or not needed or any(p[2] or p[3] for p in parts):
        raise StartupError(_REQUIREMENTS[kind])
    return names


_REQUIREMENTS = {
    TitleKind.MOVIE: "url_template needs {tmdb_id} or {imdb_id}, and nothing else in braces "
    "but {start} and {language}",
    TitleKind.TV: "tv_url_template needs {season}, {episode} and {tmdb_id} or {imdb_id}, and "
    "nothing else in braces but {start} and {language}",
}
