"""The verbs of the incident app: keyword-only, atomic, one function each, with `actor` and `now`."""

from incidents.services.alarms import (
    Alarm,
    Recovery,
    open_from_alert,
    open_from_alerts,
    record_recoveries,
    record_recovery,
)
from incidents.services.closing import close_unanswered, confirm, rate, remind_of_closing
from incidents.services.deadlines import breach, chase, warn
from incidents.services.escalating import escalate_now
from incidents.services.grouping import detach, group, merge, split, unmerge
from incidents.services.handling import (
    acknowledge,
    assign,
    change_severity,
    close,
    reopen,
    resolve,
    resume,
    wait_for_customer,
)
from incidents.services.keeping import (
    filters_of,
    keep_reply,
    remove_filter,
    remove_reply,
    replies_for,
    save_filter,
)
from incidents.services.opening import log_contact, raise_by_customer
from incidents.services.reminding import Reminder, remind
from incidents.services.reporting import explain, report_stage
from incidents.services.talking import attach, comment

__all__ = [
    "Alarm",
    "Recovery",
    "Reminder",
    "acknowledge",
    "assign",
    "attach",
    "breach",
    "change_severity",
    "chase",
    "close",
    "close_unanswered",
    "comment",
    "confirm",
    "detach",
    "escalate_now",
    "explain",
    "filters_of",
    "group",
    "keep_reply",
    "log_contact",
    "merge",
    "open_from_alert",
    "open_from_alerts",
    "raise_by_customer",
    "rate",
    "record_recoveries",
    "record_recovery",
    "remind",
    "remind_of_closing",
    "remove_filter",
    "remove_reply",
    "reopen",
    "replies_for",
    "report_stage",
    "resolve",
    "resume",
    "save_filter",
    "split",
    "unmerge",
    "wait_for_customer",
    "warn",
]
