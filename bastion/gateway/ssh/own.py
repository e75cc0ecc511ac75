"""Signing in on a target: with what the portal gave, or with the person's own, which they are asked for each time."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from bastion.gateway.contract import Account, Hop
from bastion.gateway.session import Session
from bastion.gateway.ssh.console import Left
from bastion.gateway.ssh.relay import REFUSED, Relay
from bastion.gateway.ssh.target import Link, Links, TargetFailed

TRIES = 3

Question = Callable[[Account], Awaitable[Account]]
"""Asks the person for name and password. Raises Left when they have gone, or do not want to say."""


async def linked(session: Session, links: Links, question: Question | None) -> Link | None:
    """None: the session is over. Without `question` there is no way to ask."""
    await session.let_in()
    hops, tries = session.access.hops, TRIES
    while not session.is_over:
        given = await _given(session, hops, question)
        if session.is_over:
            break
        try:
            link = await links.get(session, given)
        except TargetFailed as failure:
            tries -= 1
            session.refused("target", failure.code)
            if failure.code == "credentials" and given != hops and tries:
                session.show(failure.words)
                continue
            session.end("lost", failure.words)
            break
        if session.is_over:
            links.release(link)
            break
        if given != hops:
            session.tell("account", name=given[-1].account.name)
        return link
    return None


async def _given(session: Session, hops: tuple[Hop, ...], question: Question | None) -> tuple[Hop, ...]:
    if not any(hop.account.is_own for hop in hops):
        return hops
    if question is None:
        session.end("exit", session.say("own_needed"), exit_status=REFUSED)
        return hops
    try:
        return tuple(
            [replace(hop, account=await question(hop.account) if hop.account.is_own else hop.account) for hop in hops]
        )
    except Left:
        session.end("client")
        return hops


async def run(relay: Relay, links: Links, question: Question | None) -> None:
    """A whole session for a front that has its own way to ask, as a web terminal: until it is over.

    The front calls `relay.input`, `resize` and `end_input` (what comes before the target has a shell waits), turns
    `relay.output_valve` when it cannot keep up, and ends the session (`end("client")`) when the person has gone.
    """
    session = relay.session
    session.attach(relay)
    link = await linked(session, links, question)
    if link is None:
        return
    try:
        await relay.open(link)
        await session.over.wait()
    except TargetFailed as failure:
        session.refused("target", failure.code)
        session.end("lost", failure.words)
    finally:
        links.release(link)
