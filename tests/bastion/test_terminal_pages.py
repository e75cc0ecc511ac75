"""The page of the web terminal: what may be chosen, invitations, and what other people get."""

from __future__ import annotations

import pytest

from accounts import scope
from accounts.errors import DomainError
from accounts.models import AuditEntry, User
from assets.models import Asset, SshAccess
from bastion.gateway.contract import Action, Client, WebFiles, WebGuest, WebReturn, WebTerminal
from bastion.models import BastionSession, Node, SessionShare
from bastion.services import authorising, granting, streams, web_terminal
from bastion.services.granting import Wanted
from bastion.services.web_terminal import Wanted as Asked
from tests.bastion.conftest import CONNECT, SSH, wish_for
from tests.conftest import NOW, ClientFor

HERE = Client("192.0.2.7", 50022, "Mozilla/5.0")


@pytest.fixture
def door(web: Asset) -> Asset:
    with scope.platform("test"):
        SshAccess.objects.create(
            customer=web.customer, asset=web, host="10.0.0.8", port=22, host_key="", fingerprint="", pinned_at=NOW
        )
    return web


@pytest.fixture
def chens(door: Asset, chen: User, root: User) -> User:
    with scope.platform("test"):
        wanted = Wanted(CONNECT | {Action.SHARE}, SSH)
        granting.grant(person=chen, to=door, wanted=wanted, actor=root, now=NOW)
    return chen


@pytest.fixture
def session(chens: User, door: Asset, node: Node) -> BastionSession:
    with scope.platform("test"):
        return authorising.authorise(person=chens, wish=wish_for(door, front="web"), node=node, now=NOW)


def test_only_what_one_may_connect_to_is_offered(
    chens: User, door: Asset, bob: User, eve: User, client_for: ClientFor
) -> None:
    mine = client_for(chens)
    assert [row["asset"] for row in mine.get("/bastion/terminal/resources/?q=WEB").json()["resources"]] == [door.pk]
    assert mine.get("/bastion/terminal/resources/?q=nothing").json()["resources"] == []
    about = mine.get(f"/bastion/terminal/resources/{door.pk}/").json()
    assert (about["accounts"], about["needs_work"]) == (["trops"], True)
    for other in (bob, eve):
        theirs = client_for(other)
        assert theirs.get("/bastion/terminal/resources/").json()["resources"] == []
        assert theirs.get(f"/bastion/terminal/resources/{door.pk}/").status_code == 404


def test_the_page_lets_no_script_or_style_in(chens: User, client_for: ClientFor) -> None:
    answer = client_for(chens).get("/bastion/terminal/?asset=<script>")
    page, policy = answer.content.decode(), answer.headers["Content-Security-Policy"]
    assert '"asset": 0' in page
    assert "unsafe-inline" not in policy.replace("style-src-attr 'unsafe-inline'", "")
    assert "nonce-" in policy


def test_readers_have_no_terminal(vera: User, client_for: ClientFor) -> None:
    client = client_for(vera)
    for address in ("", "resources/", "resources/1/", "shared/1/"):
        assert client.get(f"/bastion/terminal/{address}").status_code == 403


def test_an_invitation_is_its_guests_alone(
    session: BastionSession, chens: User, alice: User, bob: User, eve: User, client_for: ClientFor
) -> None:
    with scope.user(chens):
        share = web_terminal.share(session=session, email=alice.email, may_type=False, actor=chens, now=NOW)
    address = f"/bastion/terminal/shared/{share.pk}/"
    assert f'"share": {share.pk}' in client_for(alice).get(address).content.decode()
    for other in (chens, bob, eve):
        assert client_for(other).get(address).status_code == 404
    with scope.user(alice):
        _node, purpose = web_terminal.to_visit(alice, share_id=share.pk, now=NOW)
        assert isinstance(purpose, WebGuest)
        assert (purpose.session_id, purpose.may_type) == (str(session.uid), False)
    with scope.user(chens):
        web_terminal.unshare(share=share, actor=chens, now=NOW)
    assert client_for(alice).get(address).status_code == 404
    with scope.platform("test"):
        done = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"bastion.session.share", "bastion.session.join", "bastion.session.unshare"} <= done


@pytest.mark.parametrize(
    ("whom", "may_type"), [("bob", False), ("eve", False), ("alice", True), ("chen", False), ("nobody", False)]
)
def test_who_may_not_follow_is_not_invited(
    session: BastionSession, chens: User, alice: User, bob: User, eve: User, whom: str, may_type: bool
) -> None:
    if whom == "alice":
        with scope.platform("test"):
            User.objects.filter(pk=alice.pk).update(is_active=False)
    with scope.user(chens), pytest.raises(DomainError) as refused:
        web_terminal.share(session=session, email=f"{whom}@example.com", may_type=may_type, actor=chens, now=NOW)
    assert refused.value.code == "no_guest"


def test_a_session_is_shared_by_whose_it_is_and_with_the_right(
    session: BastionSession, chens: User, alice: User, root: User
) -> None:
    with scope.platform("test"):
        with pytest.raises(DomainError) as refused:
            web_terminal.share(session=session, email=alice.email, may_type=False, actor=root, now=NOW)
        assert refused.value.code == "no_share"
        session.actions = ["connect"]
        with pytest.raises(DomainError) as refused:
            web_terminal.share(session=session, email=alice.email, may_type=False, actor=chens, now=NOW)
        assert refused.value.code == "no_share"
        assert not SessionShare.objects.exists()


def test_an_invitation_ends_with_the_session(
    session: BastionSession, chens: User, alice: User, client_for: ClientFor
) -> None:
    with scope.user(chens):
        share = web_terminal.share(session=session, email=alice.email, may_type=False, actor=chens, now=NOW)
    with scope.platform("test"):
        BastionSession.objects.filter(pk=session.pk).update(state="ended", ended_at=NOW, ending="exit")
    assert client_for(alice).get(f"/bastion/terminal/shared/{share.pk}/").status_code == 404


def test_one_comes_back_to_ones_own_alone(session: BastionSession, chens: User, root: User, eve: User) -> None:
    with scope.user(chens):
        node, purpose = web_terminal.to_return(chens, session_id=str(session.uid))
        assert (node.pk, isinstance(purpose, WebReturn)) == (session.node_id, True)
        _node, purpose = web_terminal.to_see_files(chens, session_id=str(session.uid), client=HERE)
        assert isinstance(purpose, WebFiles)
        assert (purpose.resource, purpose.account, purpose.work) == (
            f"#{session.asset_id}",
            "trops",
            "look at the disk",
        )
    for other in (root, eve):
        for key in (str(session.uid), "nonsense", ""):
            with scope.user(other), pytest.raises(DomainError) as refused:
                web_terminal.to_return(other, session_id=key)
            assert refused.value.code == "no_session"


def test_the_node_of_the_customer_goes_before_the_platforms(chens: User, door: Asset, node: Node) -> None:
    asked = Asked(door.pk, "", "look at the disk")
    with scope.user(chens), pytest.raises(DomainError) as refused:
        web_terminal.to_connect(chens, wanted=asked, client=HERE, now=NOW)
    assert refused.value.code == "node_silent"
    with scope.platform("test"):
        Node.objects.filter(pk=node.pk).update(seen_at=NOW)
        there = Node.objects.create(
            name="there", customer=door.customer, state="enrolled", public_key="k2",
            seen_at=NOW, created_at=NOW, enrolled_at=NOW,
        )  # fmt: skip
    with scope.user(chens):
        found, purpose = web_terminal.to_connect(chens, wanted=asked, client=HERE, now=NOW)
        assert isinstance(purpose, WebTerminal)
        assert (found, purpose.resource) == (there, f"#{door.pk}")
    with scope.platform("test"):
        Node.objects.filter(pk=there.pk).update(is_draining=True)
        assert streams.node_for(door, now=NOW) == node
