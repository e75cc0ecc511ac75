"""The catalogue's two languages, as the reader has theirs."""

from django.utils.translation import get_language

from changes.catalogue import Words


def said(words: Words) -> str:
    return words.zh if (get_language() or "").startswith("zh") else words.en
