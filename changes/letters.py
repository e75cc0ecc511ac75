"""The text that the customer signs before anything is changed (R84): all of it, in the customer's language."""

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from changes.catalogue import Risk, operations
from changes.models import Change, ChangeRisk, ChangeTemplate
from changes.words import said


def confirmation_text(change: Change) -> str:
    with translation.override(change.customer.language):
        entry = change.catalogue_entry
        facts = {"number": change.number, "title": change.title, "provider": settings.PROVIDER_NAME}
        assets = ", ".join(change.assets.order_by("name").values_list("name", flat=True))
        details = [] if entry is None else [
            f"{said(field.words)}: {value_of(change.fields.get(field.name))}"
            for field in entry.fields
            if change.fields.get(field.name) not in (None, "")
        ]  # fmt: skip
        parts = [
            _("Change %(number)s: %(title)s") % facts,
            change.operation if entry is None else said(entry.name),
            _("Risk class: %(risk)s") % {"risk": _class_of(change)},
            "\n".join(details),
            _("On: %(assets)s") % {"assets": assets} if assets else "",
            _("Reason: %(text)s") % {"text": change.reason} if change.reason else "",
            _("Plan:\n%(text)s") % {"text": change.plan},
            _("Way back:\n%(text)s") % {"text": change.rollback},
            _("Risk:\n%(text)s") % {"text": change.risk_text},
            _("It is not tested before, because: %(text)s") % {"text": change.test_waiver}
            if change.test_waiver
            else "",
            _("Nothing is backed up before, because: %(text)s") % {"text": change.backup_waiver}
            if change.backup_waiver
            else "",
            _(
                "%(provider)s has told us of this risk. We agree that the change is carried out (statement of work, "
                "annex 1, clause 5.2)."
            )
            % facts,
        ]
        return "\n\n".join(part for part in parts if part)


def _class_of(change: Change) -> str:
    """Also the catalogue's own, where a manager put the change in a lower one."""
    entry, own = change.catalogue_entry, change.get_risk_display()
    if entry is None or list(Risk).index(Risk(change.risk)) >= list(Risk).index(entry.risk):
        return own
    return _("%(risk)s (the catalogue says: %(catalogue)s)") % {"risk": own, "catalogue": ChangeRisk(entry.risk).label}


def template_text(template: ChangeTemplate) -> str:
    """What is signed once for a standard change."""
    with translation.override(template.customer.language):
        entry = operations().get(template.operation)
        assets = ", ".join(template.assets.order_by("name").values_list("name", flat=True))
        return "\n\n".join(
            [
                _("Standard change: %(name)s") % {"name": template.name},
                template.operation if entry is None else said(entry.name),
                *([] if entry is None else [_("Risk class: %(risk)s") % {"risk": ChangeRisk(entry.risk).label}]),
                _("On: %(assets)s") % {"assets": assets},
                _("Plan:\n%(text)s") % {"text": template.plan},
                _("Way back:\n%(text)s") % {"text": template.rollback},
                _("Risk:\n%(text)s") % {"text": template.risk_text},
                _("We agree that it is carried out whenever it is needed, until %(day)s, without being asked again.")
                % {"day": template.valid_until.isoformat()},
            ]
        )


def value_of(value: object) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)
