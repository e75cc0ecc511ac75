"""Pages of incidents."""

from django.urls import path

from incidents.states import Verb
from incidents.views import (
    board,
    files,
    incident,
    lists,
    receipts,
    saved,
    talk,
    verbs,
)

app_name = "incidents"
urlpatterns = [
    path("board/", board.board, name="board"),
    path("board/wall/", board.wall, name="wall"),
    path("board/filters/", saved.save, name="filter-save"),
    path("board/filters/<int:filter_id>/remove/", saved.remove, name="filter-remove"),
    path("incidents/", lists.index, name="list"),
    path("incidents/replies/", talk.reply_list, name="replies"),
    path("incidents/replies/new/", talk.reply_form, name="reply-new"),
    path("incidents/replies/<int:pk>/", talk.reply_form, name="reply"),
    path("incidents/replies/<int:pk>/remove/", talk.reply_remove, name="reply-remove"),
    path("incidents/search/", lists.search, name="search"),
    path("incidents/for-asset/<int:asset_id>/", lists.for_asset, name="for-asset"),
    path("incidents/raise/", incident.raise_incident, name="raise"),
    path("incidents/raise/assets/", incident.pick_assets, name="pick-assets"),
    path("incidents/<int:pk>/", incident.detail, name="detail"),
    path("incidents/<int:pk>/acknowledge/", verbs.press, {"verb": Verb.ACKNOWLEDGE}, name="acknowledge"),
    path("incidents/<int:pk>/assign/", verbs.press, {"verb": Verb.ASSIGN}, name="assign"),
    path("incidents/<int:pk>/severity/", verbs.press, {"verb": Verb.CHANGE_SEVERITY}, name="severity"),
    path("incidents/<int:pk>/wait/", verbs.press, {"verb": Verb.WAIT}, name="wait"),
    path("incidents/<int:pk>/resume/", verbs.press, {"verb": Verb.RESUME}, name="resume"),
    path("incidents/<int:pk>/resolve/", verbs.press, {"verb": Verb.RESOLVE}, name="resolve"),
    path("incidents/<int:pk>/close/", verbs.press, {"verb": Verb.CLOSE}, name="close"),
    path("incidents/<int:pk>/reopen/", verbs.press, {"verb": Verb.REOPEN}, name="reopen"),
    path("incidents/<int:pk>/group/", verbs.press, {"verb": Verb.GROUP}, name="group"),
    path("incidents/<int:pk>/detach/", verbs.press, {"verb": Verb.DETACH}, name="detach"),
    path("incidents/<int:pk>/merge/", verbs.press, {"verb": Verb.MERGE}, name="merge"),
    path("incidents/<int:pk>/unmerge/", verbs.press, {"verb": Verb.UNMERGE}, name="unmerge"),
    path("incidents/<int:pk>/split/", verbs.press, {"verb": Verb.SPLIT}, name="split"),
    path("incidents/<int:pk>/related/", lists.related, name="related"),
    path("incidents/<int:pk>/people/", talk.people, name="people"),
    path("incidents/<int:pk>/replies/", talk.replies, name="replies-for"),
    path("incidents/<int:pk>/comment/", talk.comment, name="comment"),
    path("incidents/<int:pk>/files/<int:attachment_id>/", files.download, name="file"),
    path("receipts/<str:kind>/<str:token>/", receipts.take, name="receipts"),
]
