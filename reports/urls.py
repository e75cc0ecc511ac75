"""Pages of reports."""

from django.urls import path

from reports.views import accidents, issues, parts, promises, verbs

app_name = "reports"
urlpatterns = [
    path("for-incident/<int:incident_id>/", accidents.for_incident, name="for-incident"),
    path("promises/", promises.index, name="promises"),
    path("promises/<int:customer_id>/", promises.of_customer, name="promises-of"),
    path("accidents/", accidents.index, name="accidents"),
    path("accidents/of-incident/<int:incident_id>/", accidents.open_by_hand, name="accident-new"),
    path("accidents/open/<str:token>/", issues.open_by_link, name="accident-open"),
    path("accidents/<int:pk>/", accidents.detail, name="accident"),
    path("accidents/<int:pk>/refresh/", accidents.refresh, name="accident-refresh"),
    path("accidents/<int:pk>/submit/", verbs.submit, name="accident-submit"),
    path("accidents/<int:pk>/return/", verbs.give_back, name="accident-return"),
    path("accidents/<int:pk>/sign/", verbs.sign, name="accident-sign"),
    path("accidents/<int:pk>/send/", verbs.send, name="accident-send"),
    path("accidents/<int:pk>/reissue/", verbs.reissue, name="accident-reissue"),
    path("accidents/<int:pk>/withdraw/", verbs.withdraw, name="accident-withdraw"),
    path("accidents/<int:pk>/restore/", verbs.restore, name="accident-restore"),
    path("accidents/<int:pk>/parts/<int:part_id>/", parts.save, name="accident-part"),
    path("accidents/<int:pk>/parts/<int:part_id>/facts/", parts.take_facts, name="accident-facts"),
    path("accidents/<int:pk>/parts/<int:part_id>/comment/", parts.comment, name="accident-comment"),
    path("accidents/<int:pk>/comments/<int:comment_id>/settle/", parts.settle, name="accident-settle"),
    path("accidents/<int:pk>/issues/<int:issue_id>/", issues.detail, name="accident-issue"),
    path("accidents/<int:pk>/issues/<int:issue_id>/pdf/", issues.download, name="accident-pdf"),
    path("accidents/<int:pk>/issues/<int:issue_id>/receipt/", issues.receipt, name="accident-receipt"),
    path("accidents/<int:pk>/issues/<int:issue_id>/again/", issues.try_again, name="accident-again"),
]
