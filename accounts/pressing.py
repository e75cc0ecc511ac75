"""A verb as people meet it: its form, what it does, and the words around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django import forms
from django.utils.functional import Promise

from accounts.models import User

V = TypeVar("V")
O = TypeVar("O")  # noqa: E741 - the object of the verb
Said = Mapping[str, Any]


@dataclass(frozen=True)
class Press(Generic[V, O]):
    """`make_form` takes what was posted, or None, and the object; `act` what the form made of it."""

    verb: V
    title: str | Promise
    button: str | Promise
    done: str | Promise
    make_form: Callable[[Any, O], forms.Form]
    act: Callable[[O, Said, User, datetime], object]
