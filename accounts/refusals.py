"""A refusal of a service stands in the form that was sent, so that nothing that was typed is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django import forms

from accounts.errors import DomainError


@contextmanager
def in_form(form: forms.Form) -> Iterator[None]:
    """Whatever is refused within becomes an error of the form: `form.errors` tells afterwards."""
    try:
        yield
    except DomainError as refused:
        form.add_error(None, refused.message)
