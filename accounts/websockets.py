"""The door of the WebSockets: signed-in people from our own pages only, inside their scope."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from channels.db import database_sync_to_async
from channels.security.websocket import AllowedHostsOriginValidator
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import constant_time_compare

from accounts import scope, signin
from accounts.models import User
from accounts.services import entering

NOT_SIGNED_IN = 4401
Asgi = Any  # Channels describes its applications without types


@database_sync_to_async
def person_of(session: Any, address: str) -> tuple[User, scope.Scope] | None:
    """The person of a session and what they may see now, or None when it is over, their password has changed, a second
    factor is due, or they may not enter from this address."""
    if not session.get(BACKEND_SESSION_KEY):
        return None
    with scope.platform("who is at the socket"):
        person = User.objects.filter(pk=session.get(SESSION_KEY), is_active=True).first()
    if person is None or not constant_time_compare(session.get(HASH_SESSION_KEY, ""), person.get_session_auth_hash()):
        return None
    if signin.lacks_second_factor(person) or not entering.may_enter(person, address):
        return None
    return person, scope.of(person)


async def still_there(connection: Mapping[str, Any]) -> tuple[User, scope.Scope] | None:
    """Whoever a socket was opened for, with what they may see now; None when they have gone, or somebody else came."""
    store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    found = await person_of(store(connection["session"].session_key), _address(connection))
    return found if found is not None and found[0].pk == connection["user"].pk else None


def _address(connection: Mapping[str, Any]) -> str:
    return str((connection.get("client") or ("",))[0])


class _SignedIn:
    def __init__(self, inner: Asgi) -> None:
        self.inner = inner

    async def __call__(self, connection: dict[str, Any], receive: Any, send: Any) -> Any:
        found = await person_of(connection["session"], _address(connection))
        if found is None:
            await receive()
            await send({"type": "websocket.accept"})  # only then does a browser hear the code
            await send({"type": "websocket.close", "code": NOT_SIGNED_IN})
            return None
        person, reach = found
        with scope.entered(reach):
            return await self.inner({**connection, "user": person}, receive, send)


def SignedInOnly(inner: Asgi) -> Asgi:  # noqa: N802 - an ASGI application, named like one
    """Wrap the routes of the WebSockets; foreign origins are refused before anything is read."""
    return AllowedHostsOriginValidator(CookieMiddleware(SessionMiddleware(_SignedIn(inner))))
