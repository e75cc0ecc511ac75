"""The REST API of delegations: who decides for whom; the rules are those of the pages."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import scope
from accounts.api import TenantViewSet
from accounts.models import User
from accounts.permissions import can_write
from changes.models import Delegation
from changes.services import approving
from incidents.api import PersonSerializer, Said

WHY = "delegations that one may end"
"""Those of the provider's people belong to no customer: only the platform's scope reaches them."""


class DelegationSerializer(serializers.ModelSerializer[Delegation]):
    principal = PersonSerializer(read_only=True)
    delegate = PersonSerializer(read_only=True)
    made_by = PersonSerializer(read_only=True)

    class Meta:
        model = Delegation
        fields: tuple[str, ...] = (
            "id", "principal", "delegate", "begins_on", "ends_on", "made_by", "made_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields


class NewDelegationSerializer(Said):
    principal = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Whose word it is: null is one's own; a manager, or a customer's project manager, names a colleague.",
    )
    delegate = serializers.IntegerField(help_text="Who gives it: somebody of the same side.")
    begins_on = serializers.DateField()
    ends_on = serializers.DateField()


class DelegationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Delegation]):
    """Who decides on changes for whom: one's own, and for those who lead a side all of it."""

    model = Delegation
    serializer_class = DelegationSerializer
    filter_backends = ()
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Delegation]:
        if getattr(self, "swagger_fake_view", False):
            return Delegation.objects.all()
        return approving.delegations_of(self.person)

    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        """The latest first, with those that are over."""
        with scope.platform(WHY):
            return super().list(request, *args, **kwargs)

    def retrieve(self, request: Request, *args: object, **kwargs: object) -> Response:
        """One of them."""
        with scope.platform(WHY):
            return super().retrieve(request, *args, **kwargs)

    @extend_schema(request=NewDelegationSerializer, responses={201: DelegationSerializer})
    def create(self, request: Request) -> Response:
        """Let a colleague decide on some days, for oneself or for somebody who is ill."""
        if not can_write(self.person):
            raise PermissionDenied
        given = self.said(NewDelegationSerializer)
        asked = given.pop("principal")
        principal = self.person if asked in (None, self.person.pk) else self._found("principal", asked)
        delegate = self._found("delegate", given.pop("delegate"))
        made = approving.delegate(principal=principal, delegate=delegate, **given, **self.who())
        return Response(DelegationSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=DelegationSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, **_kwargs: object) -> Response:
        """Everybody decides alone again."""
        with scope.platform(WHY):
            delegation = self.get_object()
            ended = approving.end_delegation(delegation=delegation, **self.who())
            return Response(DelegationSerializer(ended).data)

    def _found(self, name: str, pk: int) -> User:
        found = User.objects.filter(customer=self.person.customer_id, is_active=True, pk=pk).first()
        if found is None:
            raise serializers.ValidationError({name: [_("There is no such person.")]})
        return found
