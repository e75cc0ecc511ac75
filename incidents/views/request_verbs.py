"""What the provider and the customer press on a service request."""

from datetime import datetime

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from incidents.forms_requests import DoneForm, JudgeForm, ReasonForm, WarnForm, WordsForm
from incidents.models import Incident
from incidents.services import requests
from incidents.states import Verb
from incidents.views.pressing import Press, Said


def _judge(incident: Incident, said: Said, actor: User, now: datetime) -> object:
    return requests.judge(
        incident=incident,
        risk=said["risk"],
        billing=said["billing"],
        is_out_of_scope=said["is_out_of_scope"],
        actor=actor,
        now=now,
    )


REQUEST_VERBS = (
    Press(Verb.JUDGE, _("Review"), _("Save the review"), _("The review is saved."), JudgeForm.of, _judge),
    Press(
        Verb.WARN,
        _("Warn of the risk"),
        _("Warn and ask for a confirmation"),
        _("The service contact is asked to confirm; the clocks stand still until then."),
        lambda data, _incident: WarnForm(data),
        lambda incident, said, actor, now: requests.warn(incident=incident, text=said["text"], actor=actor, now=now),
    ),
    Press(
        Verb.ACCEPT,
        _("Accept the request"),
        _("Accept"),
        _("Accepted."),
        lambda data, _incident: WordsForm(data),
        lambda incident, said, actor, now: requests.accept(
            incident=incident, words=said["words"], actor=actor, now=now
        ),
    ),
    Press(
        Verb.REFUSE,
        _("Refuse the request"),
        _("Refuse"),
        _("Refused; the customer reads the reason."),
        lambda data, _incident: ReasonForm(data),
        lambda incident, said, actor, now: requests.refuse(
            incident=incident, reason=said["reason"], actor=actor, now=now
        ),
    ),
    Press(
        Verb.BEGIN,
        _("Begin the work"),
        _("Begin the work"),
        _("In work."),
        lambda data, _incident: forms.Form(data),
        lambda incident, _said, actor, now: requests.begin(incident=incident, actor=actor, now=now),
    ),
    Press(
        Verb.FINISH,
        _("Work is done"),
        _("Work is done"),
        _("Done. The customer is asked to confirm."),
        DoneForm.of,
        lambda incident, said, actor, now: requests.finish(
            incident=incident,
            words=said["words"],
            without_change=said.get("without_change", ""),
            actor=actor,
            now=now,
        ),
    ),
    Press(
        Verb.WITHDRAW,
        _("Withdraw the request"),
        _("Withdraw"),
        _("Withdrawn."),
        lambda data, _incident: ReasonForm(data),
        lambda incident, said, actor, now: requests.withdraw(
            incident=incident, reason=said["reason"], actor=actor, now=now
        ),
    ),
)
