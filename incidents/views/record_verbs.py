"""Verbs of the incident's page that write into a register: fault reviews and times with third parties."""

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from incidents.forms_records import HandOverForm, ProposeFaultForm, TakeBackForm
from incidents.models import Incident
from incidents.services import faults, third_parties
from incidents.states import Verb
from incidents.views.pressing import Press, Said


def _propose(incident: Incident, said: Said, actor: User, now: datetime) -> object:
    return faults.propose(incident=incident, actor=actor, now=now, **said)


def _hand_over(incident: Incident, said: Said, actor: User, now: datetime) -> object:
    return third_parties.hand_over(incident=incident, actor=actor, now=now, **said)


def _take_back(_incident: Incident, said: Said, actor: User, now: datetime) -> object:
    return third_parties.take_back(actor=actor, now=now, **said)


RECORD_VERBS = (
    Press(
        Verb.PROPOSE_FAULT,
        _("Propose as a fault"),
        _("Propose"),
        _("Both sides review it now."),
        lambda data, incident: ProposeFaultForm(data, incident=incident),
        _propose,
    ),
    Press(
        Verb.HAND_OVER,
        _("Hand over to Alibaba Cloud or another"),
        _("Hand over"),
        _("Handed over: their time is counted apart; our clocks run on."),
        lambda data, _incident: HandOverForm(data),
        _hand_over,
    ),
    Press(
        Verb.TAKE_BACK,
        _("Take back"),
        _("Take back"),
        _("It is with us again."),
        lambda data, incident: TakeBackForm(data, incident=incident),
        _take_back,
    ),
)
