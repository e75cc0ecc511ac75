"""A verb of an incident as people meet it."""

from accounts import pressing
from accounts.pressing import Said
from incidents.models import Incident
from incidents.states import Verb

Press = pressing.Press[Verb, Incident]

__all__ = ["Press", "Said"]
