"""A verb as people meet it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.utils.functional import Promise

from accounts.models import User
from incidents.models import Incident
from incidents.states import Verb

Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Press:
    """Its form, what it does, and the words around it."""

    verb: Verb
    title: str | Promise
    button: str | Promise
    done: str | Promise
    make_form: Callable[[Any, Incident], forms.Form]
    act: Callable[[Incident, Said, User, datetime], object]
