"""Pages of reports: what all families share, then each of its own."""

from django.urls import path, register_converter

from reports.services.families import FAMILIES
from reports.views import accidents, around, issues, parts, plans, promises, service, verbs


class FamilyConverter:
    """A family of reports by its name in addresses."""

    regex = "|".join(FAMILIES)

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(FamilyConverter, "family")
app_name = "reports"
urlpatterns = [
    path("", service.index, name="service"),
    path("promises/", promises.index, name="promises"),
    path("promises/<int:customer_id>/", promises.of_customer, name="promises-of"),
    path("new/", service.new, name="new"),
    path("plans/", plans.index, name="plans"),
    path("plans/<int:customer_id>/", plans.change, name="plan"),
    path("plans/<int:customer_id>/preview/", plans.preview, name="plan-preview"),
    path("plans/<int:customer_id>/logo/", plans.logo, name="plan-logo"),
    path("accidents/", accidents.index, name="accidents"),
    path("accidents/of-incident/<int:incident_id>/", accidents.open_by_hand, name="accident-new"),
    path("accidents/<int:pk>/refresh/", accidents.refresh, name="accident-refresh"),
    path("for-incident/<int:incident_id>/", accidents.for_incident, name="for-incident"),
    path("for-asset/<int:asset_id>/", around.for_asset, name="for-asset"),
    path("service/<int:pk>/read-again/", service.read_again, name="read-again"),
    path("service/<int:pk>/figures/", service.draft_figures, name="draft-figures"),
    path("service/<int:pk>/workbook/", service.draft_workbook, name="draft-workbook"),
    path("service/<int:pk>/issues/<int:issue_id>/workbook/", service.workbook, name="workbook"),
    path("open/<str:token>/", issues.open_by_link, name="open"),
    path("<family:family>/<int:pk>/", verbs.detail, name="detail"),
    path("<family:family>/<int:pk>/submit/", verbs.submit, name="submit"),
    path("<family:family>/<int:pk>/return/", verbs.give_back, name="return"),
    path("<family:family>/<int:pk>/sign/", verbs.sign, name="sign"),
    path("<family:family>/<int:pk>/send/", verbs.send, name="send"),
    path("<family:family>/<int:pk>/reissue/", verbs.reissue, name="reissue"),
    path("<family:family>/<int:pk>/withdraw/", verbs.withdraw, name="withdraw"),
    path("<family:family>/<int:pk>/restore/", verbs.restore, name="restore"),
    path("<family:family>/<int:pk>/parts/<int:part_id>/", parts.save, name="part"),
    path("<family:family>/<int:pk>/parts/<int:part_id>/facts/", parts.take_facts, name="facts"),
    path("<family:family>/<int:pk>/parts/<int:part_id>/comment/", parts.comment, name="comment"),
    path("<family:family>/<int:pk>/comments/<int:comment_id>/settle/", parts.settle, name="settle"),
    path("<family:family>/<int:pk>/issues/<int:issue_id>/", issues.detail, name="issue"),
    path("<family:family>/<int:pk>/issues/<int:issue_id>/pdf/", issues.download, name="pdf"),
    path("<family:family>/<int:pk>/issues/<int:issue_id>/receipt/", issues.receipt, name="receipt"),
    path("<family:family>/<int:pk>/issues/<int:issue_id>/again/", issues.try_again, name="again"),
]
