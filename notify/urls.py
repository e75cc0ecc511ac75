"""Addresses of channels, the delivery log, the inbox and the receivers of the audit log, under /notify/."""

from django.urls import path

from notify.views import channels, deliveries, devices, inbox, outlets, policies, siem

app_name = "notify"
urlpatterns = [
    path("channels/", channels.index, name="channels"),
    path("channels/new/", channels.add, name="channel_add"),
    path("channels/<int:pk>/", channels.show, name="channel"),
    path("channels/<int:pk>/edit/", channels.edit, name="channel_edit"),
    path("channels/<int:pk>/test/", channels.test, name="channel_test"),
    path("channels/<int:pk>/unmute/", channels.unmute, name="channel_unmute"),
    path("channels/<int:pk>/retire/", channels.retire, name="channel_retire"),
    path("channels/<int:pk>/gauge/", channels.gauge, name="channel_gauge"),
    path("deliveries/", deliveries.index, name="deliveries"),
    path("deliveries/<int:pk>/", deliveries.show, name="delivery"),
    path("deliveries/<int:pk>/resend/", deliveries.resend, name="delivery_resend"),
    path("inbox/", inbox.index, name="inbox"),
    path("inbox/badge/", inbox.badge, name="inbox_badge"),
    path("inbox/read/", inbox.read_all, name="inbox_read"),
    path("inbox/<int:pk>/open/", inbox.open_message, name="inbox_open"),
    path("devices/", devices.index, name="devices"),
    path("devices/key/", devices.key, name="device_key"),
    path("devices/test/", devices.test, name="device_test"),
    path("devices/<int:pk>/remove/", devices.remove, name="device_remove"),
    path("outlets/", outlets.show, name="outlets"),
    path("outlets/test/<str:medium>/", outlets.test, name="outlet_test"),
    path("outlets/receipts/", outlets.renew_receipts, name="outlet_receipts"),
    path("policies/", policies.index, name="policies"),
    path("policies/<int:pk>/", policies.show, name="policy"),
    path("policies/<int:pk>/<str:level>/", policies.edit, name="policy_edit"),
    path("policies/<int:pk>/<str:level>/default/", policies.reset, name="policy_reset"),
    path("siem/", siem.index, name="siem"),
    path("siem/new/", siem.add, name="siem_add"),
    path("siem/<int:pk>/", siem.edit, name="siem_edit"),
    path("siem/<int:pk>/test/", siem.test, name="siem_test"),
    path("siem/<int:pk>/remove/", siem.remove, name="siem_remove"),
    path("preferences/", inbox.preferences, name="preferences"),
]
