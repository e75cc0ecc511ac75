"""The REST API of the service desk's number: a telephone exchange asks where to forward a call."""

from datetime import datetime

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Customer, RosterShift, User
from accounts.permissions import is_provider
from incidents.services import desk


class DeskSerializer(serializers.Serializer[desk.Answering]):
    number = serializers.CharField(help_text="The number as it is dialled.")
    name = serializers.CharField(source="user.name")
    duty = serializers.ChoiceField(choices=RosterShift.Duty.choices)
    until = serializers.DateTimeField(help_text="When this shift ends.")


class ServiceDeskView(APIView):
    @extend_schema(
        operation_id="service_desk",
        parameters=[
            OpenApiParameter("at", OpenApiTypes.DATETIME, description="An instant; now, when it is missing."),
            OpenApiParameter("customer", OpenApiTypes.INT, description="For a customer with shifts of its own."),
        ],
        responses=DeskSerializer,
        description="Who answers the service desk's number: for a telephone exchange that forwards calls. 404: nobody.",
    )
    def get(self, request: Request) -> Response:
        if not isinstance(request.user, User) or not is_provider(request.user):
            raise PermissionDenied
        found = desk.answering(at=self._at(request), customer_id=self._customer(request))
        if found.user is None:
            raise NotFound(_("Nobody with a telephone is on duty."))
        return Response(DeskSerializer(found).data)

    def _at(self, request: Request) -> datetime:
        text = request.query_params.get("at")
        if not text:
            return timezone.now()
        try:
            moment = parse_datetime(text)
        except ValueError:
            moment = None
        if moment is None:
            raise ValidationError({"at": [_("This is no moment: write it as 2026-03-02T10:00:00+08:00.")]})
        return moment if timezone.is_aware(moment) else timezone.make_aware(moment)

    def _customer(self, request: Request) -> int | None:
        text = request.query_params.get("customer")
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or not Customer.objects.filter(pk=int(text[:15])).exists():
            raise NotFound
        return int(text)
