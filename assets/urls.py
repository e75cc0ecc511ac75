"""Pages of assets."""

from django.urls import path

from assets.views import accounts, completeness, credentials, importing, inventory, manual, quotas, reveals, standard

app_name = "assets"
urlpatterns = [
    path("", inventory.index, name="list"),
    path("search/", inventory.search, name="search"),
    path("new/", manual.create, name="new"),
    path("missing/", completeness.index, name="missing"),
    path("import/", importing.upload, name="import"),
    path("import/apply/", importing.apply, name="import_apply"),
    path("<int:pk>/", inventory.detail, name="detail"),
    path("<int:pk>/edit/", manual.edit, name="edit"),
    path("<int:pk>/owner/", inventory.owner, name="owner"),
    path("<int:pk>/care/", manual.care, name="care"),
    path("<int:pk>/retire/", manual.retire, name="retire"),
    path("<int:pk>/restore/", manual.restore, name="restore"),
    path("quota/<int:customer_id>/", quotas.of_customer, name="quota"),
    path("cloud-accounts/", accounts.index, name="cloud_accounts"),
    path("cloud-accounts/new/", accounts.create, name="cloud_account_new"),
    path("cloud-accounts/<int:pk>/", accounts.detail, name="cloud_account"),
    path("cloud-accounts/<int:pk>/progress/", accounts.progress, name="cloud_account_progress"),
    path("cloud-accounts/<int:pk>/sync/", accounts.sync, name="cloud_account_sync"),
    path("cloud-accounts/<int:pk>/verify/", accounts.verify, name="cloud_account_verify"),
    path("cloud-accounts/<int:pk>/settings/", accounts.settings, name="cloud_account_settings"),
    path("cloud-accounts/<int:pk>/key/", accounts.key, name="cloud_account_key"),
    path("cloud-accounts/<int:pk>/console/", accounts.console, name="cloud_account_console"),
    path("cloud-accounts/<int:pk>/retire/", accounts.retire, name="cloud_account_retire"),
    path("<int:pk>/accounts/", standard.of_asset, name="accounts_of_asset"),
    path("<int:pk>/accounts/new/", credentials.add_to_asset, name="credential_new"),
    path("cloud-accounts/<int:pk>/operations-key/", credentials.add_to_account, name="operations_key_new"),
    path("account-standard/", standard.index, name="account_standard"),
    path("credentials/", credentials.index, name="credentials"),
    path("credentials/<int:pk>/", credentials.detail, name="credential"),
    path("credentials/<int:pk>/change/", credentials.change, name="credential_change"),
    path("credentials/<int:pk>/secret/", credentials.secret, name="credential_secret"),
    path("credentials/<int:pk>/checked/", credentials.checked, name="credential_checked"),
    path("credentials/<int:pk>/retire/", credentials.retire, name="credential_retire"),
    path("credentials/<int:pk>/reveal/", reveals.reveal, name="credential_reveal"),
    path("reveals/<int:pk>/", reveals.request, name="reveal_request"),
    path("reveals/<int:pk>/decide/", reveals.decide, name="reveal_decide"),
]
