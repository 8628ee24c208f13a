"""One language is one text: the canonical case of RFC 5646, 2.1.1."""

from __future__ import annotations

import pytest

from services.text.language_tags import normalize_case


@pytest.mark.parametrize(
    ("tag", "canonical"),
    [
        ("EN", "en"),
        ("en", "en"),
        ("pt-br", "pt-BR"),
        ("PT-bR", "pt-BR"),
        ("zh-hANT-tw", "zh-Hant-TW"),
        ("ES-419", "es-419"),
        ("SGN-be-fr", "sgn-BE-FR"),
        ("MN-cyrl-MN", "mn-Cyrl-MN"),
        ("SL-NEDIS", "sl-nedis"),
        ("de-CH-1901", "de-CH-1901"),
        ("de-ch-1996-X-Ab-Latn", "de-CH-1996-x-ab-latn"),
        ("EN-ca-x-CA", "en-CA-x-ca"),
        ("az-latn-x-LATN", "az-Latn-x-latn"),
        ("de-DE-u-CO-PHONEBK-ka-Shifted", "de-DE-u-co-phonebk-ka-shifted"),
    ],
)
def test_tags_are_written_in_one_case(tag: str, canonical: str) -> None:
    assert normalize_case(tag) == canonical
    assert normalize_case(canonical) == canonical
