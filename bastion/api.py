"""The REST API of the bastion: sessions, commands, grants, requests, nodes, hardening; the rules are those of pages."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import audit
from accounts.api import TenantViewSet
from accounts.models import User
from accounts.permissions import can_write, is_admin
from accounts.windows import Weekly, WindowError, as_json, from_json
from assets.models import Asset
from bastion.access import Protocol
from bastion.gateway.contract import Action
from bastion.hardening.catalogue import items
from bastion.hardening_words import item_name, reason_text
from bastion.models import (
    AccessRequest,
    BastionSession,
    Grant,
    HardeningResult,
    HardeningRun,
    Node,
    ResourceGroup,
    SessionCommand,
)
from bastion.permissions import may_be_let_in
from bastion.services import authorising, granting, groups, living, requesting, searching
from bastion.services.granting import Wanted
from bastion.words import GRANTED
from incidents.api import PersonSerializer, Said

LONGEST_QUERY: Final = 100
M = TypeVar("M", bound=Model)
Listed = mixins.ListModelMixin
Read = mixins.RetrieveModelMixin


class SessionFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=BastionSession.State.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    asset = django_filters.NumberFilter(field_name="asset_id")
    person = django_filters.NumberFilter(field_name="person_id")
    allowed_after = django_filters.IsoDateTimeFilter(field_name="allowed_at", lookup_expr="gte")
    allowed_before = django_filters.IsoDateTimeFilter(field_name="allowed_at", lookup_expr="lt")


class SessionSerializer(serializers.ModelSerializer[BastionSession]):
    person = PersonSerializer(read_only=True)
    asset_name = serializers.CharField(source="asset.name", read_only=True)
    work = serializers.CharField(read_only=True, help_text="The incident, the change or the reason.")

    class Meta:
        model = BastionSession
        fields = (
            "id", "uid", "customer", "person", "asset", "asset_name", "account", "protocol", "front", "client_address",
            "client_software", "actions", "work", "state", "allowed_at", "opened_at", "ends_at", "ended_at", "ending",
            "exit_status", "sent", "received",
        )  # fmt: skip
        read_only_fields = fields


class RemarkSerializer(Said):
    words = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class SessionViewSet(Listed, Read, TenantViewSet[BastionSession]):
    """Sessions that one may watch: one's own, and those of what one looks after."""

    model = BastionSession
    serializer_class = SessionSerializer
    filterset_class = SessionFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[BastionSession]:
        if getattr(self, "swagger_fake_view", False):
            return BastionSession.objects.all()
        rows: QuerySet[BastionSession] = authorising.watchable(self.person).joined()
        return rows

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Looking at somebody else's is written down, as on its page."""
        session = self.get_object()
        if session.person_id != self.person.pk:
            audit.record(action="bastion.session.view", customer=session.customer, obj=session, **self.who())
        return self.shown(session)

    @extend_schema(request=RemarkSerializer, responses=SessionSerializer)
    @action(detail=True, methods=["post"])
    def disconnect(self, request: Request, **_kwargs: object) -> Response:
        """End it. The node does so within a second; the words are the last that the person reads."""
        session = self.get_object()
        if not authorising.may_end(self.person, session):
            raise PermissionDenied
        living.disconnect(session=session, **self.said(RemarkSerializer), **self.who())
        return self.shown(session)


class CommandFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    session = django_filters.NumberFilter(field_name="session_id")
    asset = django_filters.NumberFilter(field_name="asset_id")
    person = django_filters.NumberFilter(field_name="person_id")
    verdict = django_filters.CharFilter(field_name="verdict")
    after = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    before = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")


class CommandSerializer(serializers.ModelSerializer[SessionCommand]):
    person = PersonSerializer(read_only=True)

    class Meta:
        model = SessionCommand
        fields = (
            "id",
            "customer",
            "session",
            "asset",
            "person",
            "at",
            "at_s",
            "text",
            "verdict",
            "rule",
            "exit_status",
        )
        read_only_fields = fields


class CommandViewSet(Listed, TenantViewSet[SessionCommand]):
    """Commands of all sessions that one may watch. `q`: words that all stand in the command."""

    model = SessionCommand
    serializer_class = CommandSerializer
    filterset_class = CommandFilter

    def rows(self) -> QuerySet[SessionCommand]:
        if getattr(self, "swagger_fake_view", False):
            return SessionCommand.objects.all()
        query = self.request.query_params.get("q", "").replace("\0", "")[:LONGEST_QUERY]
        return searching.commands(self.person, query).select_related("person").order_by("-at", "-pk")

    @extend_schema(parameters=[OpenApiParameter("q", str, description="Words that all stand in the command.")])
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)


class GrantFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    person = django_filters.NumberFilter(field_name="person_id")
    asset = django_filters.NumberFilter(field_name="asset_id")
    group = django_filters.NumberFilter(field_name="group_id")
    is_ended = django_filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull", exclude=True)


class GrantSerializer(serializers.ModelSerializer[Grant]):
    person = PersonSerializer(read_only=True)
    granted_by = PersonSerializer(read_only=True)
    ended_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Grant
        fields = (
            "id", "customer", "person", "asset", "group", "accounts", "protocols", "actions", "forwards", "since",
            "until", "windows", "timezone", "needs_consent", "reason", "granted_by", "granted_at", "ended_at",
            "ended_by",
        )  # fmt: skip
        read_only_fields = fields


def _names(longest: int) -> Any:
    one = serializers.CharField(max_length=longest)
    return serializers.ListField(child=one, required=False, default=list, max_length=50)


class NewGrantSerializer(Said):
    person = serializers.IntegerField()
    asset = serializers.IntegerField(required=False, allow_null=True, default=None)
    group = serializers.IntegerField(required=False, allow_null=True, default=None, help_text="One of the two.")
    actions = serializers.MultipleChoiceField(choices=[(one.value, one.value) for one in Action])
    protocols = serializers.MultipleChoiceField(choices=[(one.value, one.value) for one in GRANTED])
    accounts = _names(128)
    forwards = _names(300)
    since = serializers.DateTimeField(required=False, allow_null=True, default=None)
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)
    windows = serializers.ListField(
        child=serializers.DictField(child=serializers.JSONField()),
        required=False,
        default=list,
        max_length=20,
        help_text='Hours of the week: {"days": [0, 4], "from": "22:00", "to": "06:00"}, 0 being Monday, as the clock '
        'stands in Shanghai; "since" and "until" name first and last days. None: around the clock.',
    )
    needs_consent = serializers.BooleanField(
        required=False, default=False, help_text="Somebody has to let each session in."
    )
    reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)

    def validate_windows(self, rows: list[dict[str, object]]) -> list[dict[str, object]]:
        """As they are kept: what is no part of a window is left out."""
        try:
            windows = from_json(rows, granting.ZONE)
        except (WindowError, ValueError, KeyError, TypeError):
            windows = []
        weekly = [as_json(one) for one in windows if isinstance(one, Weekly)]
        if len(weekly) != len(rows):
            raise serializers.ValidationError(_("These weekly windows cannot be read. Nothing was saved."))
        return weekly


class GrantViewSet(Listed, Read, TenantViewSet[Grant]):
    """Grants that one may take back, and one's own."""

    model = Grant
    serializer_class = GrantSerializer
    filterset_class = GrantFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Grant]:
        if getattr(self, "swagger_fake_view", False):
            return Grant.objects.all()
        _may_work(self.person)
        rows: QuerySet[Grant] = granting.seen_by(self.person).joined()
        return rows

    @extend_schema(request=NewGrantSerializer, responses={201: GrantSerializer})
    def create(self, request: Request) -> Response:
        """Let somebody to one resource, or to all of a group."""
        given = self.said(NewGrantSerializer)
        _may_work(self.person)
        to = self._place(given.pop("asset"), given.pop("group"))
        person = _one(may_be_let_in(to.customer_id), given.pop("person"), "person")
        wanted = Wanted(
            actions=frozenset(Action(one) for one in given.pop("actions")),
            protocols=frozenset(Protocol(one) for one in given.pop("protocols")),
            accounts=tuple(given.pop("accounts")),
            forwards=tuple(given.pop("forwards")),
            **given,
        )
        made = granting.grant(person=person, to=to, wanted=wanted, **self.who())
        return self.shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=GrantSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, **_kwargs: object) -> Response:
        """Take it back, or give back one's own. Whoever is connected by it alone is cut off."""
        return self.shown(granting.end(grant=self.get_object(), **self.who()))

    def _place(self, asset: int | None, group: int | None) -> Asset | ResourceGroup:
        if (asset is None) == (group is None):
            raise serializers.ValidationError({"asset": [_("Please choose a group or one resource, not both.")]})
        if asset is not None:
            return _one(Asset.objects.active().select_related("customer"), asset, "asset")
        return _one(groups.seen_by(self.person).select_related("customer"), group, "group")


class RequestFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=AccessRequest.State.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    asset = django_filters.NumberFilter(field_name="asset_id")
    person = django_filters.NumberFilter(field_name="person_id")


class AccessRequestSerializer(serializers.ModelSerializer[AccessRequest]):
    person = PersonSerializer(read_only=True)
    decided_by = PersonSerializer(read_only=True, allow_null=True)
    lapses_at = serializers.DateTimeField(read_only=True)

    class Meta:
        model = AccessRequest
        fields = (
            "id", "customer", "person", "asset", "account", "protocols", "actions", "minutes", "reason", "state",
            "asked_at", "lapses_at", "decided_at", "decided_by", "words", "grant",
        )  # fmt: skip
        read_only_fields = fields


class GrantedSerializer(RemarkSerializer):
    minutes = serializers.IntegerField(
        required=False, allow_null=True, default=None, max_value=1440, help_text="Less than was asked for."
    )


class AccessRequestViewSet(Listed, Read, TenantViewSet[AccessRequest]):
    """Requests for access: one's own, and those that one may decide."""

    model = AccessRequest
    serializer_class = AccessRequestSerializer
    filterset_class = RequestFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[AccessRequest]:
        if getattr(self, "swagger_fake_view", False):
            return AccessRequest.objects.all()
        _may_work(self.person)
        rows: QuerySet[AccessRequest] = requesting.seen_by(self.person).joined()
        return rows

    @extend_schema(request=GrantedSerializer, responses=AccessRequestSerializer)
    @action(detail=True, methods=["post"])
    def grant(self, request: Request, **_kwargs: object) -> Response:
        """Yes, from now on."""
        asked = self.get_object()
        return self.shown(requesting.grant(request=asked, **self.said(GrantedSerializer), **self.who()))

    @extend_schema(request=RemarkSerializer, responses=AccessRequestSerializer)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, **_kwargs: object) -> Response:
        """No, with the reason."""
        asked = self.get_object()
        return self.shown(requesting.refuse(request=asked, **self.said(RemarkSerializer), **self.who()))


class NodeSerializer(serializers.ModelSerializer[Node]):
    is_silent = serializers.SerializerMethodField()

    class Meta:
        model = Node
        fields = (
            "id", "customer", "name", "state", "version", "ssh_host", "ssh_port", "is_draining", "seen_at", "is_silent",
            "load", "created_at", "enrolled_at", "revoked_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_is_silent(self, node: Node) -> bool:
        return node.is_silent(timezone.now())


class NodeViewSet(Listed, Read, TenantViewSet[Node]):
    """Nodes, for administrators."""

    model = Node
    serializer_class = NodeSerializer
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Node]:
        if not getattr(self, "swagger_fake_view", False) and not is_admin(self.person):
            raise PermissionDenied
        return Node.objects.order_by("name", "pk")


class RunFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    state = django_filters.MultipleChoiceFilter(choices=HardeningRun.State.choices)
    why = django_filters.MultipleChoiceFilter(choices=HardeningRun.Why.choices)


class HardeningRunSerializer(serializers.ModelSerializer[HardeningRun]):
    started_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = HardeningRun
        fields = ("id", "customer", "why", "state", "started_by", "started_at", "ended_at")
        read_only_fields = fields


class HardeningRunViewSet(Listed, Read, TenantViewSet[HardeningRun]):
    """Runs of the hardening checks."""

    model = HardeningRun
    serializer_class = HardeningRunSerializer
    filterset_class = RunFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[HardeningRun]:
        return HardeningRun.objects.select_related("started_by")


class ResultFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    run = django_filters.NumberFilter(field_name="check_of__run_id")
    asset = django_filters.NumberFilter(field_name="check_of__asset_id")
    item = django_filters.ChoiceFilter(choices=[(code, code) for code in items()])
    outcome = django_filters.MultipleChoiceFilter(choices=HardeningResult.Outcome.choices)


class HardeningResultSerializer(serializers.ModelSerializer[HardeningResult]):
    run = serializers.IntegerField(source="check_of.run_id", read_only=True)
    asset = serializers.IntegerField(source="check_of.asset_id", read_only=True)
    looked_at = serializers.DateTimeField(source="check_of.ended_at", read_only=True, allow_null=True)
    name = serializers.SerializerMethodField()
    reason_text = serializers.SerializerMethodField(help_text="In the caller's language.")
    names = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = HardeningResult
        fields = (
            "id", "customer", "run", "asset", "looked_at", "item", "name", "outcome", "reason", "reason_text", "names",
            "evidence", "is_excepted",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(str)
    def get_name(self, result: HardeningResult) -> str:
        return item_name(result.item)

    @extend_schema_field(str)
    def get_reason_text(self, result: HardeningResult) -> str:
        return reason_text(result.reason, result.names)


class HardeningResultViewSet(Listed, TenantViewSet[HardeningResult]):
    """What each item of a server was found to be, the latest look first."""

    model = HardeningResult
    serializer_class = HardeningResultSerializer
    filterset_class = ResultFilter

    def rows(self) -> QuerySet[HardeningResult]:
        return HardeningResult.objects.select_related("check_of").order_by("-check_of__ended_at", "pk")


def _may_work(person: User) -> None:
    if not can_write(person):
        raise PermissionDenied


def _one(rows: QuerySet[M], pk: int | None, name: str) -> M:
    """The row with this number; ValidationError when there is none in reach."""
    found = rows.filter(pk=pk).first()
    if found is None:
        raise serializers.ValidationError({name: [_("There is no such row.")]})
    return found
