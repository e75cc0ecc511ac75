"""The verbs of the asset app: keyword-only, atomic, one function each, with `actor` and `now`."""

from assets.services.accounts import (
    Credentials,
    change_settings,
    client_for,
    register_account,
    replace_key,
    retire_account,
    set_console_login,
    verify_again,
)
from assets.services.quotas import QuotaUse, quota_use

__all__ = [
    "Credentials",
    "QuotaUse",
    "change_settings",
    "client_for",
    "quota_use",
    "register_account",
    "replace_key",
    "retire_account",
    "set_console_login",
    "verify_again",
]
