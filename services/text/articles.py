"""Articles that titles begin with, by language."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

ARTICLES = {
    "en": ("The", "A", "An"),
    "fr": ("Le", "La", "Les", "L'", "Un", "Une"),
    "it": ("Il", "Lo", "La", "L'", "I", "Gli", "Le", "Un", "Uno", "Una", "Un'"),
    "es": ("El", "La", "Los", "Las", "Un", "Una"),
    "pt": ("O", "A", "Os", "As", "Um", "Uma"),
    "de": ("Der", "Die", "Das", "Den", "Dem", "Ein", "Eine", "Einer"),
    "nl": ("De", "Het", "Een"),
    "sv": ("Den", "Det", "De", "En", "Ett"),
    "da": ("Den", "Det", "De", "En", "Et"),
    "no": ("Den", "Det", "De", "En", "Ei", "Et"),
}


def articles_of(languages: Sequence[str]) -> set[str]:
    """Articles of English and of these languages."""
    groups = (ARTICLES.get(language[:2], ()) for language in ("en", *languages))
    return {article for group in groups for article in group}


def without_article(title: str, languages: Sequence[str] = ()) -> str:
    """The title after a leading article of English or of `languages`; else the whole title."""
    return next(_remainders(title, languages), title)


def _remainders(title: str, languages: Sequence[str]) -> Iterator[str]:
    plain = title.replace("\u2019", "'").casefold()
    for article in sorted(articles_of(languages)):
        remainder = title[len(article) :]
        opens = article.endswith("'") or remainder.startswith(" ")
        if opens and remainder.strip() and plain.startswith(article.casefold()):
            yield remainder
