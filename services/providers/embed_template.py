"""A provider whose player page has a predictable address: a template with {tmdb_id} or {imdb_id}.

No call is made; a title without the id the template needs is not there.
"""

from __future__ import annotations

from string import Formatter
from urllib.parse import quote

from services.errors import StartupError
from services.providers.base import Provider, ProviderInfo, Source, SourceType, TitleRef

_PLACES = {"tmdb_id", "imdb_id"}


class EmbedTemplate(Provider):
    """
    Raises:
        StartupError: the template has other places than {tmdb_id} and {imdb_id}, or none.
    """

    def __init__(self, info: ProviderInfo, url_template: str) -> None:
        super().__init__(info)
        self._template = url_template
        self._places = _places(url_template)

    async def sources(self, title: TitleRef) -> list[Source]:
        known = {"tmdb_id": title.tmdb_id, "imdb_id": title.imdb_id}
        values = {name: known[name] for name in self._places}
        if None in values.values():
            return []
        filled = {name: quote(str(value), safe="") for name, value in values.items()}
        return [self.source(self._template.format(**filled), SourceType.EMBED)]


def _places(template: str) -> set[str]:
    try:
        parts = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError:
        parts = []
    names = {str(name) for _, name, _, _ in parts}
    if not names or names - _PLACES or any(spec or conversion for _, _, spec, conversion in parts):
        raise StartupError("url_template needs {tmdb_id} or {imdb_id}, and nothing else in braces")
    return names
