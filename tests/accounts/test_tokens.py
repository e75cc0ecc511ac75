"""API tokens: shown once, kept as a hash, bound to a person's present reach and to their own scope and end."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction

from accounts import scope
from accounts.errors import DomainError
from accounts.models import ApiToken, AuditEntry, Customer, User
from accounts.services import tokens
from tests.conftest import NOW

WEEK = timedelta(days=7)


def issue(actor: User, kind: str = "read", valid_for: timedelta = WEEK) -> tuple[ApiToken, str]:
    with scope.user(actor):
        return tokens.issue(actor=actor, name="export", scope=kind, valid_for=valid_for, now=NOW)


def find(key: str, after: timedelta = timedelta()) -> ApiToken | None:
    with scope.platform("test"):
        return tokens.find(key, now=NOW + after)


@pytest.mark.parametrize("who", ["alice", "bob", "vera", "chen", "lin", "root"])
def test_everybody_makes_sees_uses_and_ends_their_own(who: str, request: pytest.FixtureRequest) -> None:
    person: User = request.getfixturevalue(who)
    token, key = issue(person)
    found = find(key)
    assert found is not None
    assert found.user == person
    with scope.user(person):
        assert tokens.of(person) == [token]
        tokens.revoke(token=token, actor=person, now=NOW)
    assert find(key) is None


def test_the_key_is_random_and_kept_as_a_hash_only(alice: User) -> None:
    token, key = issue(alice)
    _other, another = issue(alice)
    assert key.startswith("rdmp_")
    assert len(key) >= 48
    assert key != another
    with scope.platform("test"):
        assert key not in str([list(ApiToken.objects.values()), list(AuditEntry.objects.values())])
    assert token.prefix == key[:12]


@pytest.mark.parametrize("wrong", ["", "rdmp_", "rdmp_wrong", "x" * 10_000, "rdmp_\0", "钥匙"])
def test_a_wrong_key_finds_nothing(wrong: str, alice: User) -> None:
    issue(alice)
    assert find(wrong) is None


def test_neither_the_hash_nor_the_prefix_is_a_key(alice: User) -> None:
    token, key = issue(alice)
    assert find(token.token_hash) is find(token.prefix) is find(key + "x") is find(key[:-1]) is None


def test_a_token_ends_at_its_moment(alice: User) -> None:
    _token, key = issue(alice)
    assert find(key, WEEK - timedelta(seconds=1)) is not None
    assert find(key, WEEK) is None


@pytest.mark.parametrize("valid_for", [timedelta(0), timedelta(days=-1), timedelta(days=367)])
def test_a_token_lives_at_most_a_year(valid_for: timedelta, alice: User) -> None:
    with pytest.raises(DomainError):
        issue(alice, valid_for=valid_for)


def test_a_token_of_somebody_without_access_is_none(alice: User) -> None:
    _token, key = issue(alice)
    with scope.platform("test"):
        User.objects.filter(pk=alice.pk).update(is_active=False)
    assert find(key) is None


def test_a_read_only_person_makes_read_only_tokens(vera: User) -> None:
    with pytest.raises(DomainError):
        issue(vera, "write")
    assert issue(vera)[0].scope == "read"


def test_use_is_noted_at_most_once_a_minute(alice: User) -> None:
    token, key = issue(alice)
    seen = []
    for seconds in (0, 30, 61, 62):
        find(key, timedelta(seconds=seconds))
        with scope.platform("test"):
            seen.append(ApiToken.objects.get(pk=token.pk).last_used_at)
    assert seen == [NOW, NOW, NOW + timedelta(seconds=61), NOW + timedelta(seconds=61)]


def test_making_and_ending_are_audited_and_ending_twice_is_said_once(alice: User) -> None:
    token, _key = issue(alice)
    with scope.user(alice):
        tokens.revoke(token=token, actor=alice, now=NOW)
        tokens.revoke(token=token, actor=alice, now=NOW + WEEK)
    with scope.platform("test"):
        actions = AuditEntry.objects.filter(action__startswith="token.").order_by("sequence")
        assert list(actions.values_list("action", flat=True)) == ["token.issue", "token.revoke"]
        assert ApiToken.objects.get().revoked_at == NOW


def test_tokens_of_other_people_are_not_seen(jia: Customer, alice: User, bob: User, lin: User) -> None:
    issue(alice)
    issue(lin)
    with scope.user(bob):
        assert tokens.of(bob) == []
    with scope.user(alice):
        assert {token.user_id for token in ApiToken.objects.all()} == {alice.pk}


def test_two_tokens_never_share_a_hash(alice: User) -> None:
    token, _key = issue(alice)
    with scope.platform("test"), pytest.raises(IntegrityError), transaction.atomic():
        token.pk = None
        token.save(force_insert=True)
