"""The REST API of changes: the catalogue, drafts, and every verb as a POST of its own; the rules are those of pages."""

from collections.abc import Sequence
from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, views
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet, own_customer
from assets.models import Asset
from assets.relations import Tie
from changes import faces
from changes.catalogue import Field, Operation, Type, operations
from changes.models import (
    ApprovalLevel,
    ApprovalVote,
    BackupRecord,
    Change,
    ChangeEntry,
    ChangeFile,
    ChangeGate,
    ChangeKind,
    ChangeRisk,
    ChangeState,
)
from changes.operation_forms import check, check_evidence
from changes.services import approving, confirming, drafting, evidence, executing, scheduling
from changes.services.drafting import Content
from changes.timeline import sentence
from changes.words import said as in_words
from incidents.api import PersonSerializer, Said
from incidents.models import Incident, IncidentKind


class ChangeFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=ChangeState.choices)
    gate = django_filters.MultipleChoiceFilter(choices=ChangeGate.choices)
    kind = django_filters.MultipleChoiceFilter(choices=ChangeKind.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    asset = django_filters.NumberFilter(field_name="assets")
    incident = django_filters.NumberFilter(field_name="incident_id")
    operation = django_filters.CharFilter(field_name="operation")
    starts_after = django_filters.IsoDateTimeFilter(field_name="starts_at", lookup_expr="gte")
    starts_before = django_filters.IsoDateTimeFilter(field_name="starts_at", lookup_expr="lt")


class ChangeSerializer(serializers.ModelSerializer[Change]):
    number = serializers.CharField(read_only=True)
    requester = PersonSerializer(read_only=True)
    owner = PersonSerializer(read_only=True, allow_null=True)
    details = serializers.DictField(source="fields", read_only=True, help_text="What the operation asks for.")
    assets: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)

    class Meta:
        model = Change
        fields: tuple[str, ...] = (
            "id", "number", "customer", "title", "kind", "origin", "vendor_notice", "lead", "incident", "template",
            "operation", "details", "risk", "reason", "plan", "rollback", "test_waiver", "backup_waiver", "assets",
            "state", "gate", "revision", "risk_text", "risk_told_at", "confirmation", "starts_at", "ends_at",
            "requester", "owner", "created_at", "changed_at", "begun_at", "finished_at", "ended_at", "result",
            "failure", "verified_by", "reviewed_at", "unsigned_reason", "version",
        )  # fmt: skip
        read_only_fields = fields


class ChangeEntrySerializer(serializers.ModelSerializer[ChangeEntry]):
    actor = PersonSerializer(read_only=True, allow_null=True)
    text = serializers.SerializerMethodField(help_text="What happened, as a sentence in the caller's language.")

    class Meta:
        model = ChangeEntry
        fields = ("id", "at", "kind", "actor", "text", "body", "data")
        read_only_fields = fields

    def get_text(self, entry: ChangeEntry) -> str:
        return sentence(entry)


class GateSerializer(serializers.Serializer[faces.ShownGate]):
    gate = serializers.ChoiceField(choices=ChangeGate.choices)
    is_passed = serializers.BooleanField()
    is_current = serializers.BooleanField()
    lacks = serializers.SerializerMethodField(help_text="What is missing, and who must act.")

    def get_lacks(self, shown: faces.ShownGate) -> list[str]:
        return [" ".join(part for part in (str(why), assets, f"→ {who}") if part) for why, assets, who in shown.lacks]


class VoteSerializer(serializers.ModelSerializer[ApprovalVote]):
    voter = PersonSerializer(read_only=True)
    person = PersonSerializer(read_only=True)

    class Meta:
        model = ApprovalVote
        fields = ("voter", "person", "is_yes", "words", "at", "channel")
        read_only_fields = fields


class LevelSerializer(serializers.ModelSerializer[ApprovalLevel]):
    votes = VoteSerializer(many=True, read_only=True)

    class Meta:
        model = ApprovalLevel
        fields = ("id", "duty", "needs", "deciders", "asked_at", "due_at", "lapsed_at", "votes")
        read_only_fields = fields


class ContentSerializer(Said):
    title = serializers.CharField(max_length=200)
    details = serializers.DictField(child=serializers.JSONField(), required=False, default=dict)
    assets = serializers.ListField(child=serializers.IntegerField(), required=False, default=list, max_length=200)
    risk = serializers.ChoiceField(choices=ChangeRisk.choices)
    lead = serializers.ChoiceField(choices=Change.Lead.choices, default=Change.Lead.PROVIDER)
    reason = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)
    plan = serializers.CharField(max_length=20_000, required=False, default="", allow_blank=True)
    rollback = serializers.CharField(max_length=20_000, required=False, default="", allow_blank=True)
    test_waiver = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)
    backup_waiver = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class NewChangeSerializer(ContentSerializer):
    customer = serializers.IntegerField()
    operation = serializers.CharField(max_length=80)
    kind = serializers.ChoiceField(
        choices=[(ChangeKind.NORMAL.value, ""), (ChangeKind.EMERGENCY.value, "")], default=ChangeKind.NORMAL
    )
    origin = serializers.ChoiceField(choices=Change.Origin.choices, default=Change.Origin.PROVIDER)
    vendor_notice = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)
    incident = serializers.IntegerField(required=False, allow_null=True, default=None)


class EditChangeSerializer(ContentSerializer):
    version = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="Refuse with 409 when the change has another one."
    )


class RiskSerializer(Said):
    text = serializers.CharField(max_length=8000)


class HeardSerializer(Said):
    name = serializers.CharField(max_length=120)
    words = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class TestSerializer(Said):
    asset = serializers.IntegerField(help_text="An asset that is marked as test or development.")
    has_passed = serializers.BooleanField()
    what = serializers.CharField(max_length=8000)
    tested_at = serializers.DateTimeField()


class BackupSerializer(Said):
    asset = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="null where the change touches none: a file is named."
    )
    method = serializers.ChoiceField(choices=BackupRecord.Method.choices)
    reference = serializers.CharField(max_length=500)
    sha256 = serializers.CharField(max_length=64, required=False, default="", allow_blank=True)
    taken_at = serializers.DateTimeField()


class DecisionSerializer(Said):
    approve = serializers.BooleanField()
    words = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)


class ScheduleSerializer(Said):
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class ChangeResultSerializer(Said):
    result = serializers.CharField(max_length=8000)


class ChangeReasonSerializer(Said):
    reason = serializers.CharField(max_length=4000)


class ReviewSerializer(ChangeReasonSerializer):
    unsigned = serializers.CharField(
        max_length=2000,
        required=False,
        default="",
        allow_blank=True,
        help_text="Why the spoken yes is not signed; needed while it is not.",
    )


class ChangeWordsSerializer(Said):
    words = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)


class NeighbourSerializer(serializers.Serializer[scheduling.Neighbour]):
    own = serializers.IntegerField(source="own.pk")
    other = serializers.IntegerField(source="other.pk")
    tie = serializers.ChoiceField(choices=[(each.value, each.value) for each in Tie])


class ConflictSerializer(serializers.Serializer[scheduling.Conflict]):
    change = serializers.IntegerField(source="change.pk")
    number = serializers.CharField(source="change.number")
    shared = serializers.SerializerMethodField(help_text="Assets that both touch.")
    neighbours = NeighbourSerializer(many=True)

    def get_shared(self, conflict: scheduling.Conflict) -> list[int]:
        return [asset.pk for asset in conflict.shared]


class RollBackSerializer(ChangeResultSerializer):
    verified_by = serializers.IntegerField(help_text="Of ours or of the customer's people, by ID.")


class ChangeFileSerializer(serializers.ModelSerializer[ChangeFile]):
    class Meta:
        model = ChangeFile
        fields = ("id", "purpose", "name", "size", "sha256", "at")
        read_only_fields = fields


class NewChangeFileSerializer(Said):
    purpose = serializers.ChoiceField(choices=ChangeFile.Purpose.choices, default=ChangeFile.Purpose.EVIDENCE)
    file = serializers.FileField(allow_empty_file=True)


class EvidenceProofSerializer(serializers.Serializer[faces.ShownProof]):
    name = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the base class keeps the words of forms there
    value = serializers.CharField()


class PointSerializer(serializers.Serializer[faces.ShownPoint]):
    code = serializers.CharField()
    words = serializers.CharField()
    is_done = serializers.BooleanField()
    lacks = serializers.ListField(child=serializers.CharField(), help_text="Evidence that is required and missing.")
    evidence = EvidenceProofSerializer(many=True)
    remark = serializers.CharField(source="record.words", default="")
    by = PersonSerializer(source="record.by", allow_null=True, default=None)
    at = serializers.DateTimeField(source="record.at", allow_null=True, default=None)


class CheckSerializer(Said):
    code = serializers.CharField(max_length=40)
    evidence = serializers.DictField(
        child=serializers.JSONField(),
        required=False,
        default=dict,
        help_text="By the names that the catalogue gives for the point; a file by its ID.",
    )
    words = serializers.CharField(max_length=500, required=False, default="", allow_blank=True)


class ChangeViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Change]):
    """Changes of the customers in reach."""

    model = Change
    serializer_class = ChangeSerializer
    filterset_class = ChangeFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Change]:
        rows: QuerySet[Change] = Change.objects.for_lists()
        return rows

    @extend_schema(request=NewChangeSerializer, responses={201: ChangeSerializer})
    def create(self, request: Request) -> Response:
        """Draft a change; it goes through its gates before anybody may begin."""
        if not self.person.is_provider:
            raise PermissionDenied
        given = self.said(NewChangeSerializer)
        customer = own_customer(self.person, given.pop("customer"))
        incident = self._incident(given.pop("incident"))
        about = {name: given.pop(name) for name in ("kind", "origin", "vendor_notice")}
        content = self._content(given, given.pop("operation"))
        change = drafting.draft(customer=customer, content=content, incident=incident, **about, **self.who())
        return self.shown(change, status.HTTP_201_CREATED)

    @extend_schema(request=EditChangeSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def edit(self, request: Request, **_kwargs: object) -> Response:
        """Rewrite it: every signature and approval is asked for again."""
        change, given = self.get_object(), self.said(EditChangeSerializer)
        version = given.pop("version")
        content = self._content(given, change.operation)
        return self.shown(drafting.edit(change=change, content=content, version=version, **self.who()))

    @extend_schema(request=None, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, **_kwargs: object) -> Response:
        """Hand it in: the gates begin."""
        return self.shown(drafting.submit(change=self.get_object(), **self.who()))

    @extend_schema(request=RiskSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"], url_path="tell-risk")
    def tell_risk(self, request: Request, **_kwargs: object) -> Response:
        """Tell the customer what may happen; a named contact is asked to sign."""
        change = self.get_object()
        confirming.tell_risk(change=change, **self.said(RiskSerializer), **self.who())
        return self.shown(change)

    @extend_schema(request=HeardSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def hear(self, request: Request, **_kwargs: object) -> Response:
        """In an emergency: the customer said yes on the telephone."""
        return self.shown(confirming.hear(change=self.get_object(), **self.said(HeardSerializer), **self.who()))

    @extend_schema(request=None, responses=ChangeSerializer)
    @action(detail=True, methods=["post"], url_path="ask-signature")
    def ask_signature(self, request: Request, **_kwargs: object) -> Response:
        """An emergency began on a spoken word, and nobody signed in time: the customer is asked once more."""
        change = self.get_object()
        confirming.ask_signature(change=change, **self.who())
        return self.shown(change)

    @extend_schema(request=TestSerializer, responses={201: ChangeSerializer})
    @action(detail=True, methods=["post"])
    def tests(self, request: Request, **_kwargs: object) -> Response:
        """Record a test on something that is not production."""
        change, given = self.get_object(), self.said(TestSerializer)
        given["asset"] = self._asset(change, given["asset"])
        evidence.record_test(change=change, **given, **self.who())
        return self.shown(change, status.HTTP_201_CREATED)

    @extend_schema(request=BackupSerializer, responses={201: ChangeSerializer})
    @action(detail=True, methods=["post"])
    def backups(self, request: Request, **_kwargs: object) -> Response:
        """Record where the backup of one of its assets lies, or the file of what it changes."""
        change, given = self.get_object(), self.said(BackupSerializer)
        given["asset"] = None if given["asset"] is None else self._asset(change, given["asset"])
        evidence.record_backup(change=change, **given, **self.who())
        return self.shown(change, status.HTTP_201_CREATED)

    @extend_schema(request=DecisionSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, **_kwargs: object) -> Response:
        """Approve or refuse; 403 when nobody asks this person now."""
        change, given = self.get_object(), self.said(DecisionSerializer)
        channel = ApprovalVote.Channel.API
        approving.decide(change=change, is_yes=given["approve"], words=given["words"], channel=channel, **self.who())
        return self.shown(change)

    @extend_schema(request=None, responses=ChangeSerializer)
    @action(detail=True, methods=["post"], url_path="ask-again")
    def ask_again(self, request: Request, **_kwargs: object) -> Response:
        """After a refusal, or when nobody answered."""
        return self.shown(approving.ask_again(change=self.get_object(), **self.who()))

    @extend_schema(request=ScheduleSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def schedule(self, request: Request, **_kwargs: object) -> Response:
        """Give it a window."""
        return self.shown(scheduling.schedule(change=self.get_object(), **self.said(ScheduleSerializer), **self.who()))

    @extend_schema(request=ChangeReasonSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def overrule(self, request: Request, **_kwargs: object) -> Response:
        """A service manager lets it be done in spite of a freeze."""
        given = self.said(ChangeReasonSerializer)
        return self.shown(scheduling.overrule_freeze(change=self.get_object(), **given, **self.who()))

    @extend_schema(request=None, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def begin(self, request: Request, **_kwargs: object) -> Response:
        """Begin the work; 409 with the gate that is not passed."""
        return self.shown(executing.begin(change=self.get_object(), **self.who()))

    @extend_schema(responses=PointSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def checks(self, request: Request, **_kwargs: object) -> Response:
        """The checklist, and what follows on a failure: what was looked at by whom, and its evidence."""
        change = self.get_object()
        return Response([PointSerializer(point).data for point in faces.shown_points(change, change.every_point)])

    @extend_schema(request=CheckSerializer, responses={201: ChangeSerializer})
    @checks.mapping.post
    def check(self, request: Request, **_kwargs: object) -> Response:
        """One point was looked at, with what shows it; said again, the newest counts."""
        change, given = self.get_object(), self.said(CheckSerializer)
        proof = given.pop("evidence")
        point = next((one for one in change.points if one.code == given["code"]), None)
        form = None if point is None else check_evidence(point, proof)
        if form is not None and not form.is_valid():
            wrong = {name: [str(one) for one in said] for name, said in form.errors.items()}
            raise serializers.ValidationError({"evidence": wrong})
        if point is not None and set(proof) - {field.name for field in point.evidence}:
            raise serializers.ValidationError({"evidence": [_("The point asks for no such evidence.")]})
        evidence.check(change=change, given={} if form is None else form.given(), **given, **self.who())
        return self.shown(change, status.HTTP_201_CREATED)

    @extend_schema(request={"multipart/form-data": NewChangeFileSerializer}, responses={201: ChangeFileSerializer})
    @action(detail=True, methods=["post"])
    def files(self, request: Request, **_kwargs: object) -> Response:
        """Keep a document or a piece of evidence with the change."""
        kept = evidence.attach(change=self.get_object(), **self.said(NewChangeFileSerializer), **self.who())
        return Response(ChangeFileSerializer(kept).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ChangeResultSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def finish(self, request: Request, **_kwargs: object) -> Response:
        """It is done and verified; the customer is asked to test."""
        return self.shown(
            executing.finish_work(change=self.get_object(), **self.said(ChangeResultSerializer), **self.who())
        )

    @extend_schema(request=ChangeReasonSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def fail(self, request: Request, **_kwargs: object) -> Response:
        """It went wrong."""
        return self.shown(executing.fail(change=self.get_object(), **self.said(ChangeReasonSerializer), **self.who()))

    @extend_schema(request=RollBackSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request, **_kwargs: object) -> Response:
        """It is as it was before; what follows on a failure was looked at, and somebody has verified it."""
        change, given = self.get_object(), self.said(RollBackSerializer)
        verifier = executing.verifiers(change).filter(pk=given["verified_by"]).first()
        if verifier is None:
            raise serializers.ValidationError({"verified_by": [_("Nobody of this ID can verify it.")]})
        given["verified_by"] = verifier
        return self.shown(executing.roll_back(change=change, **given, **self.who()))

    @extend_schema(request=ChangeWordsSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"], url_path="sign-off")
    def sign_off(self, request: Request, **_kwargs: object) -> Response:
        """The customer has tested it and is content."""
        return self.shown(
            executing.sign_off(change=self.get_object(), **self.said(ChangeWordsSerializer), **self.who())
        )

    @extend_schema(request=ChangeReasonSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"], url_path="object")
    def object_to(self, request: Request, **_kwargs: object) -> Response:
        """The customer has tested it and it is not right."""
        words = self.said(ChangeReasonSerializer)["reason"]
        return self.shown(executing.object_to(change=self.get_object(), words=words, **self.who()))

    @extend_schema(request=ChangeReasonSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **_kwargs: object) -> Response:
        """Give it up; nothing was touched."""
        return self.shown(drafting.cancel(change=self.get_object(), **self.said(ChangeReasonSerializer), **self.who()))

    @extend_schema(request=ReviewSerializer, responses=ChangeSerializer)
    @action(detail=True, methods=["post"])
    def review(self, request: Request, **_kwargs: object) -> Response:
        """A service manager looks at an emergency afterwards."""
        given = self.said(ReviewSerializer)
        change = self.get_object()
        return self.shown(
            executing.review(change=change, words=given["reason"], unsigned=given["unsigned"], **self.who())
        )

    @extend_schema(request=ChangeReasonSerializer, responses={201: ChangeEntrySerializer})
    @action(detail=True, methods=["post"])
    def comments(self, request: Request, **_kwargs: object) -> Response:
        """Say something that both sides read."""
        body = self.said(ChangeReasonSerializer)["reason"]
        entry = drafting.comment(change=self.get_object(), body=body, **self.who())
        return Response(ChangeEntrySerializer(entry).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=GateSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def gates(self, request: Request, **_kwargs: object) -> Response:
        """The path: what is passed, what is missing, who must act."""
        shown = faces.shown_gates(self.get_object(), now=timezone.now())
        return Response([GateSerializer(gate).data for gate in shown])

    @extend_schema(responses=ConflictSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def conflicts(self, request: Request, **_kwargs: object) -> Response:
        """Other changes in the same window that touch its assets, or what stands or falls with them."""
        return Response([ConflictSerializer(one).data for one in scheduling.conflicts(self.get_object())])

    @extend_schema(responses=LevelSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def approvals(self, request: Request, **_kwargs: object) -> Response:
        """The levels of approval with what was said at each."""
        shown = faces.shown_levels(self.get_object())
        return Response(LevelSerializer([one.level for one in shown], many=True).data)

    @extend_schema(responses=ChangeEntrySerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def timeline(self, request: Request, **_kwargs: object) -> Response:
        """Everything that happened, oldest first."""
        entries = self.get_object().entries.select_related("actor")
        return Response(ChangeEntrySerializer(entries, many=True).data)

    def _content(self, given: dict[str, Any], code: str) -> Content:
        operation = operations().get(code)
        if operation is None:
            raise serializers.ValidationError({"operation": [_("There is no such operation in the catalogue.")]})
        form = check(operation, given.pop("details"))
        if not form.is_valid():
            wrong = {name: [str(one) for one in said] for name, said in form.errors.items()}
            raise serializers.ValidationError({"details": wrong})
        assets = list(Asset.objects.active().filter(pk__in=given["assets"]))
        if len(assets) != len(set(given["assets"])):
            raise serializers.ValidationError({"assets": [_("Not every asset is one of this customer.")]})
        return Content(**{**given, "operation": code, "fields": form.values(), "assets": tuple(assets)})

    def _incident(self, pk: int | None) -> Incident | None:
        if pk is None:
            return None
        found = Incident.objects.exclude(kind=IncidentKind.INTERNAL).filter(pk=pk).first()
        if found is None:
            raise serializers.ValidationError({"incident": [_("There is no such incident.")]})
        return found

    def _asset(self, change: Change, pk: int) -> Asset:
        found = Asset.objects.filter(customer=change.customer_id, pk=pk).first()
        if found is None:
            raise serializers.ValidationError({"asset": [_("Not every asset is one of this customer.")]})
        return found


class FieldSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    type = serializers.ChoiceField(choices=[(each.value, each.value) for each in Type])
    label = serializers.CharField()  # type: ignore[assignment]  # the base class keeps the words of forms there
    required = serializers.BooleanField()  # type: ignore[assignment]  # likewise
    options = serializers.ListField(child=serializers.CharField())


class CheckpointSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    words = serializers.CharField()
    evidence = FieldSerializer(many=True)


class OperationSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    number = serializers.IntegerField(allow_null=True, help_text="Its row in the contract's table.")
    module = serializers.CharField()
    group = serializers.CharField()
    name = serializers.CharField()
    risk = serializers.CharField()
    billing = serializers.CharField()
    costs = serializers.BooleanField()
    needs_licence = serializers.BooleanField(help_text="Licence and vendor's support are the customer's cost.")
    kinds = serializers.ListField(child=serializers.CharField())
    form = FieldSerializer(many=True)
    response_minutes = serializers.IntegerField(help_text="Within which a request is answered.")
    completion_hours = serializers.IntegerField(help_text="Working hours within which it is done.")
    checklist = CheckpointSerializer(many=True, help_text="What is looked at afterwards, and what shows it.")


class CatalogueView(views.APIView):
    """The service catalogue, in the caller's language; requests name an operation by its code."""

    @extend_schema(responses=OperationSerializer(many=True))
    def get(self, request: Request) -> Response:
        return Response([_shown(each) for each in operations().values()])


def _shown(operation: Operation) -> dict[str, object]:
    return {
        "code": operation.code,
        "number": operation.number,
        "module": in_words(operation.module),
        "group": in_words(operation.group),
        "name": in_words(operation.name),
        "risk": operation.risk.value,
        "billing": operation.billing,
        "costs": operation.costs,
        "needs_licence": operation.needs_licence,
        "kinds": sorted(operation.kinds),
        "response_minutes": operation.response_minutes,
        "completion_hours": operation.completion_hours,
        "form": _fields(operation.fields),
        "checklist": [
            {"code": point.code, "words": in_words(point.words), "evidence": _fields(point.evidence)}
            for point in operation.checklist
        ],
    }


def _fields(fields: Sequence[Field]) -> list[dict[str, object]]:
    return [
        {
            "name": field.name,
            "type": field.type.value,
            "label": in_words(field.words),
            "required": field.required,
            "options": [option.value for option in field.options],
        }
        for field in fields
    ]
