"""Pages of customers, people, rosters, calendars and the audit log. The invitation lies with the sign-in pages."""

from django.urls import path

from accounts.views import audit, calendars, contracts, customers, own, people, roster

app_name = "accounts"

urlpatterns = [
    path("customers/", customers.index, name="customers"),
    path("customers/new/", customers.create, name="customer_new"),
    path("customers/<int:pk>/", customers.overview, name="customer"),
    path("customers/<int:pk>/edit/", customers.edit, name="customer_edit"),
    path("contract/", contracts.own, name="contract"),
    path("customers/<int:pk>/contract/", contracts.contract, name="customer_contract"),
    path("customers/<int:pk>/contract/new/", contracts.contract_new, name="contract_new"),
    path("contracts/<int:pk>/edit/", contracts.contract_edit, name="contract_edit"),
    path("sla/<int:pk>/edit/", contracts.sla_edit, name="sla_edit"),
    path("customers/<int:pk>/contacts/", customers.contacts, name="customer_contacts"),
    path("customers/<int:pk>/contacts/new/", customers.contact_new, name="contact_new"),
    path("contacts/<int:pk>/edit/", customers.contact_edit, name="contact_edit"),
    path("contacts/<int:pk>/away/", customers.contact_away, name="contact_away"),
    path("contacts/<int:pk>/remove/", customers.contact_remove, name="contact_remove"),
    path("customers/<int:pk>/team/", customers.team, name="customer_team"),
    path("customers/<int:pk>/team/name/", customers.provider_contact_add, name="provider_contact_add"),
    path("provider-contacts/<int:pk>/remove/", customers.provider_contact_remove, name="provider_contact_remove"),
    path("customers/<int:pk>/team/assign/", customers.assign, name="assign"),
    path("assignments/<int:pk>/remove/", customers.unassign, name="unassign"),
    path("users/", people.index, name="users"),
    path("users/invite/", people.invite, name="invite"),
    path("users/<int:pk>/", people.person, name="user"),
    path("users/<int:pk>/role/", people.change_role, name="user_role"),
    path("users/<int:pk>/access/", people.change_access, name="user_access"),
    path("users/<int:pk>/reset-second-factor/", people.reset_second_factor, name="user_reset_second_factor"),
    path("users/<int:pk>/sign-out/", people.sign_out, name="user_sign_out"),
    path("invitations/<int:pk>/withdraw/", people.withdraw, name="invitation_withdraw"),
    path("accounts/invitation/<str:token>/", people.invitation, name="invitation"),
    path("people/search/", people.search, name="search"),
    path("roster/", roster.week, name="roster"),
    path("roster/new/", roster.shift_new, name="shift_new"),
    path("roster/<int:pk>/remove/", roster.shift_remove, name="shift_remove"),
    path("calendars/", calendars.index, name="calendars"),
    path("calendars/<int:pk>/", calendars.calendar, name="calendar"),
    path("calendars/<int:pk>/week/", calendars.week_edit, name="calendar_week"),
    path("calendars/<int:pk>/days/<str:day>/", calendars.day_edit, name="calendar_day"),
    path("calendars/<int:pk>/copy/", calendars.copy, name="calendar_copy"),
    path("audit/", audit.log, name="audit"),
    path("audit/verify/", audit.verify, name="audit_verify"),
    path("profile/", own.profile, name="profile"),
    path("profile/tokens/", own.tokens, name="tokens"),
    path("profile/tokens/<int:pk>/revoke/", own.token_revoke, name="token_revoke"),
]
