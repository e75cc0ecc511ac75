"""Pages of assets."""

from django.urls import path

from assets.views import accounts, completeness, importing, inventory, manual, quotas

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
    path("cloud-accounts/<int:pk>/reveal/", accounts.reveal, name="cloud_account_reveal"),
    path("cloud-accounts/<int:pk>/retire/", accounts.retire, name="cloud_account_retire"),
]
