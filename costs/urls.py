"""Pages of cost."""

from django.urls import path

from costs.states import Verb
from costs.views import anomalies, months, proposals, statements

app_name = "costs"
urlpatterns = [
    path("", months.index, name="index"),
    path("customers/<int:customer_id>/", months.customer_month, name="customer"),
    path("customers/<int:customer_id>/resources/", months.resources, name="resources"),
    path("customers/<int:customer_id>/threshold/", months.threshold, name="threshold"),
    path("customers/<int:customer_id>/issue/", months.issue, name="issue"),
    path("anomalies/", anomalies.index, name="anomalies"),
    path("anomalies/<int:pk>/", anomalies.detail, name="anomaly"),
    path("anomalies/<int:pk>/explain/", anomalies.explain, name="anomaly-explain"),
    path("anomalies/<int:pk>/reopen/", anomalies.reopen, name="anomaly-reopen"),
    path("proposals/", proposals.index, name="proposals"),
    path("proposals/new/", proposals.create, name="proposal-create"),
    path("proposals/<int:pk>/", proposals.detail, name="proposal"),
    path("proposals/<int:pk>/change/", proposals.draft_change, name="proposal-change"),
    *(
        path(f"proposals/<int:pk>/{verb.value}/", proposals.press, {"verb": verb}, name=f"proposal-{verb.value}")
        for verb in Verb
    ),
    path("statements/", statements.index, name="statements"),
    path("statements/<int:pk>/", statements.detail, name="statement"),
    path("for-asset/<int:asset_id>/", months.for_asset, name="for-asset"),
    path("for-account/<int:account_id>/", months.for_account, name="for-account"),
]
