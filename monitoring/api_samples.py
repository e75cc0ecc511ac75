"""`POST /api/v1/samples/`: figures from scripts that run anywhere, as plain JSON, with a customer's token."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import scope
from accounts.api_access import MayWriteSamples, TokenAuthentication
from accounts.models import ApiToken
from monitoring.services import remote, samples

MOST: Final = 1000
METRIC: Final = re.compile(r"custom\.[a-z][a-z0-9_]{0,39}\.[a-z][a-z0-9_]{0,49}")
LABEL: Final = re.compile(r"[A-Za-z_]\w{0,39}")
MOST_LABELS: Final = 8


class SampleSerializer(serializers.Serializer[Any]):
    """One figure. `asset` is the asset's number or its name; `at` is now when it is left out."""

    asset = serializers.CharField(max_length=200)
    metric = serializers.RegexField(METRIC, max_length=100)
    labels = serializers.DictField(child=serializers.CharField(max_length=100, allow_blank=True), required=False)
    value = serializers.FloatField()
    at = serializers.DateTimeField(required=False)

    def validate_metric(self, value: str) -> str:
        if not METRIC.fullmatch(value):
            raise serializers.ValidationError(_("A figure is named custom.<script>.<item>."))
        return value

    def validate_labels(self, value: dict[str, str]) -> dict[str, str]:
        if len(value) > MOST_LABELS or not all(LABEL.fullmatch(name) for name in value):
            raise serializers.ValidationError(_("At most 8 labels, named with letters, digits and underscores."))
        return value


class SamplesSerializer(serializers.Serializer[Any]):
    samples = serializers.ListField(child=SampleSerializer(), min_length=1, max_length=MOST)


class TakenSerializer(serializers.Serializer[Any]):
    """What became of them: stored, known already, refused (no such asset, too old, from the future)."""

    stored = serializers.IntegerField()
    repeated = serializers.IntegerField()
    refused = serializers.IntegerField()
    unknown_assets = serializers.ListField(child=serializers.CharField())


class SamplesView(APIView):
    """Figures of custom scripts. Sending the same sample again changes nothing."""

    # Who is signed in at the portal is refused with 403 rather than asked to sign in: it takes a token.
    authentication_classes = (TokenAuthentication, SessionAuthentication)
    permission_classes = (MayWriteSamples,)
    throttle_classes = ()  # it has a limit of its own, in samples

    @extend_schema(operation_id="samples_send", request=SamplesSerializer, responses={200: TakenSerializer})
    def post(self, request: Request) -> Response:
        token = request.auth
        if not isinstance(token, ApiToken) or token.customer_id is None:
            text = _("The token belongs to no customer: one of the customer's own people must make it.")
            return Response({"detail": text}, status=status.HTTP_403_FORBIDDEN)
        asked = SamplesSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        now = timezone.now()
        try:
            remote.allow(token_id=token.pk, samples=len(asked.validated_data["samples"]), now=now)
            with scope.customer(token.customer_id):
                return Response(_take_in(token.customer_id, asked.validated_data["samples"], now))
        except remote.TooManyError as error:
            return Response({"detail": f"{error}."}, status=429, headers={"Retry-After": str(error.wait_s)})
        except samples.TooManySeriesError:
            text = _("There are too many custom series already. Put nothing into labels that changes all the time.")
            return Response({"detail": text}, status=status.HTTP_400_BAD_REQUEST)


def _take_in(customer_id: int, asked: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    names = samples.assets_named([one["asset"] for one in asked])
    found, unknown = [], set()
    for one in asked:
        number = int(one["asset"]) if one["asset"].isdecimal() and len(one["asset"]) < 10 else 0
        asset_id = names.get(one["asset"], number)
        if not asset_id:
            unknown.add(one["asset"])
            continue
        at = one.get("at") or now
        labels = one.get("labels", {})
        found.append(samples.Sample(asset_id, one["metric"], labels, at.astimezone(UTC), one["value"]))
    taken = samples.take_in(customer_id=customer_id, samples=found, now=now)
    return {
        "stored": taken.stored,
        "repeated": taken.repeated,
        "refused": taken.refused + len(asked) - len(found),
        "unknown_assets": sorted(unknown)[:20],
    }
