"""The text that the customer signs before anything is changed (R84): all of it, in the customer's language."""

from collections.abc import Iterable, Mapping

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from changes import answers
from changes.catalogue import Risk, operations
from changes.models import Change, ChangeAsset, ChangeRisk, ChangeTemplate, ScriptVersion, TemplateAsset
from changes.words import said


def confirmation_text(change: Change) -> str:
    """With the environment that each asset was told to be in, which the caller has written down before."""
    with translation.override(change.customer.language):
        entry = change.catalogue_entry
        facts = {"number": change.number, "title": change.title, "provider": settings.PROVIDER_NAME}
        parts = [
            _("Change %(number)s: %(title)s") % facts,
            change.operation if entry is None else said(entry.name),
            _("Risk class: %(risk)s") % {"risk": _class_of(change)},
            _details(change.operation, change.fields),
            _script(change.script),
            _on(change.touched.select_related("asset").order_by("asset__name")),
            _("Done by: %(lead)s") % {"lead": change.get_lead_display()},
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


def template_text(template: ChangeTemplate) -> str:
    """What is signed once for a standard change: afterwards nobody is asked again."""
    with translation.override(template.customer.language):
        entry = operations().get(template.operation)
        parts = [
            _("Standard change: %(name)s") % {"name": template.name},
            template.operation if entry is None else said(entry.name),
            "" if entry is None else _("Risk class: %(risk)s") % {"risk": ChangeRisk(entry.risk).label},
            _details(template.operation, template.fields),
            _script(template.script),
            _on(template.touched.select_related("asset").order_by("asset__name")),
            _("Plan:\n%(text)s") % {"text": template.plan},
            _("Way back:\n%(text)s") % {"text": template.rollback},
            _("Risk:\n%(text)s") % {"text": template.risk_text},
            _("We agree that it is carried out whenever it is needed, until %(day)s, without being asked again.")
            % {"day": template.valid_until.isoformat()},
        ]
        return "\n\n".join(part for part in parts if part)


def _class_of(change: Change) -> str:
    """Also the catalogue's own, where a manager put the change in a lower one."""
    entry, own = change.catalogue_entry, change.get_risk_display()
    if entry is None or list(Risk).index(Risk(change.risk)) >= list(Risk).index(entry.risk):
        return own
    return _("%(risk)s (the catalogue says: %(catalogue)s)") % {"risk": own, "catalogue": ChangeRisk(entry.risk).label}


def _details(operation: str, fields: Mapping[str, object]) -> str:
    return "\n".join(f"{label}: {value}" for label, value, _is_long in answers.shown(operation, fields))


def _script(version: ScriptVersion | None) -> str:
    if version is None:
        return ""
    lines = [_("Script: %(script)s, SHA-256 %(sum)s") % {"script": version, "sum": version.sha256}]
    if version.patch:
        lines.append(_("It brings the patch: %(patch)s") % {"patch": version.patch})
    return "\n".join(lines)


def _on(touched: Iterable[ChangeAsset | TemplateAsset]) -> str:
    named = [f"{one.asset.name} ({one.get_environment_display()})" for one in touched]
    return _("On: %(assets)s") % {"assets": ", ".join(named)} if named else ""
