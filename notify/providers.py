"""From a delivery to the wire: the message as its reader sees it, the channel's secrets, the right adapter."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import scope, secrets
from accounts.models import Customer, Severity
from accounts.vault import VaultError
from notify import links, markdown, marking, personal
from notify.channels import dingtalk, email, http, webhook, wecom
from notify.channels.notice import Notice
from notify.channels.outcome import Outcome, Verdict
from notify.models import Attempt, Channel, Delivery

SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
PURPOSE = "send a message"
CONNECT_S, TOTAL_S = 4.0, 8.0
FINGERPRINTED = {Channel.Kind.DINGTALK: "access_token", Channel.Kind.WECOM: "key"}


@dataclass(frozen=True)
class SecretField:
    """A write-only value of a channel: `name` in the vault; `required` before anything can be sent."""

    name: str
    required: bool


SECRET_FIELDS: dict[str, tuple[SecretField, ...]] = {
    Channel.Kind.DINGTALK: (SecretField("access_token", True), SecretField("secret", False)),
    Channel.Kind.WECOM: (SecretField("key", True),),
    Channel.Kind.WEBHOOK: (SecretField("url", True), SecretField("secret", True)),
    Channel.Kind.EMAIL: (),
}


def fingerprint(kind: str, token: str) -> str:
    """Names a robot without telling its token: two channels with one token share one budget."""
    return hashlib.sha256(f"{kind}:{token}".encode()).hexdigest()[:32]


def limits() -> http.Limits:
    return http.Limits(allowed_hosts=frozenset(settings.NOTIFY_ALLOWED_HOSTS), connect_s=CONNECT_S, total_s=TOTAL_S)


Opened = dict[int, dict[str, str]]
"""Secrets of channels by id, for as long as one batch is sent: each opening is a query and an audit entry."""


class Job(Protocol):
    """A delivery under lease, with the attempt that is being made."""

    @property
    def delivery(self) -> Delivery: ...

    @property
    def attempt(self) -> Attempt: ...

    @property
    def maybe_repeat(self) -> bool: ...


def send(job: Job, *, now: datetime, opened: Opened | None = None) -> Outcome:
    """One call to the provider, outside any transaction. Never raises for what a provider or a missing secret does."""
    delivery = job.delivery
    with translation.override(_language(delivery)):
        notice = _notice(delivery, maybe_repeat=job.maybe_repeat)
        if delivery.channel_id is None:
            return _to_person(job, notice, now)
        if delivery.medium == Delivery.Medium.EMAIL:
            return _send_mail(delivery, notice, now)
        channel = delivery.channel
        if channel is None:
            return Outcome(Verdict.REFUSED, "no channel")
        opened = {} if opened is None else opened
        try:
            values = opened.get(channel.pk) or opened.setdefault(channel.pk, _open_secrets(channel, now))
        except (secrets.Missing, VaultError):
            return Outcome(Verdict.REFUSED, "no secret", _("The channel's token or key is missing: enter it again."))
        return _call(channel, notice, values, now)


def _to_person(job: Job, notice: Notice, now: datetime) -> Outcome:
    delivery = job.delivery
    match delivery.medium:
        case Delivery.Medium.PUSH:
            return personal.push_out(delivery, notice, now, limits())
        case Delivery.Medium.SMS:
            return personal.text(delivery, job.attempt.pk, now, limits())
        case Delivery.Medium.VOICE:
            return personal.call(delivery, job.attempt.pk, now, limits())
    return _send_mail(delivery, notice, now)


def _call(channel: Channel, notice: Notice, values: dict[str, str], now: datetime) -> Outcome:
    match channel.kind:
        case Channel.Kind.DINGTALK:
            robot = dingtalk.Robot(values["access_token"], values["secret"], channel.keyword)
            base = settings.NOTIFY_DINGTALK_BASE
            return dingtalk.send(robot, notice, now=now, base=base, limits=limits())
        case Channel.Kind.WECOM:
            return wecom.send(wecom.Robot(values["key"]), notice, base=settings.NOTIFY_WECOM_BASE, limits=limits())
        case Channel.Kind.WEBHOOK:
            receiver = webhook.Receiver(values["url"], values["secret"])
            return webhook.send(receiver, notice, now=now, limits=limits())
    return Outcome(Verdict.REFUSED, "unknown kind")


def _open_secrets(channel: Channel, now: datetime) -> dict[str, str]:
    """The channel's own scope, not the delivery's: a provider's robot carries messages about many customers."""
    values = {}
    reach = scope.platform(PURPOSE) if channel.customer_id is None else scope.customer(channel.customer_id)
    with reach:
        for secret in SECRET_FIELDS[channel.kind]:
            if secret.required or secrets.is_set(channel, secret.name):
                values[secret.name] = secrets.use(obj=channel, field=secret.name, purpose=PURPOSE, now=now)
            else:
                values[secret.name] = ""
    return values


def _notice(delivery: Delivery, *, maybe_repeat: bool) -> Notice:
    text = delivery.text.replace("](/", f"]({settings.PUBLIC_URL}/")
    if maybe_repeat:
        text = f"{text}\n\n" + _("This may be a repeat: the answer to the first try was lost.")
    if delivery.asks and delivery.medium != Delivery.Medium.PUSH:
        label = _("Acknowledge")
        text = f"{text}\n\n[{label}]({settings.PUBLIC_URL}/{links.path_of(delivery)})"
    channel = delivery.channel
    is_disaster = delivery.severity == Severity.DISASTER
    return Notice(
        subject=subject_line(delivery),
        text=text.strip(),
        link=f"{settings.PUBLIC_URL}{delivery.url}" if delivery.url else "",
        link_label=_("Open in RDMP"),
        severity=delivery.severity,
        topic=delivery.topic,
        reference=str(delivery.pk),
        mention_all=bool(channel and channel.mentions_all and is_disaster),
    )


def subject_line(delivery: Delivery) -> str:
    """The subject with its severity, and with the customer's name where the reader serves several."""
    severity = f"[{Severity(delivery.severity).label}] " if delivery.severity else ""
    shared = delivery.channel is None or delivery.channel.customer_id is None
    reader_serves_many = shared and (delivery.user is None or delivery.user.is_provider)
    customer = f"{delivery.customer}: " if reader_serves_many and delivery.customer else ""
    subject = delivery.subject.replace("](", "] (")  # a name that somebody chose must not become a link of ours
    return f"{severity}{customer}{subject}"


def _language(delivery: Delivery) -> str:
    if delivery.user is not None:
        return delivery.user.language
    channel = delivery.channel
    owner: Customer | None = channel.customer if channel else None
    return owner.language if owner else settings.LANGUAGE_CODE


def _send_mail(delivery: Delivery, notice: Notice, now: datetime) -> Outcome:
    recipients = (
        (delivery.user.email,) if delivery.user else tuple(delivery.channel.recipients if delivery.channel else ())
    )
    if not recipients:
        return Outcome(Verdict.REFUSED, "no recipient", _("The channel has no recipients: enter an address."))
    blocks = markdown.blocks(notice.text)
    context = {"notice": notice, "delivery": delivery, "blocks": blocks, "home": settings.PUBLIC_URL}
    context |= {"emergency_name": settings.EMERGENCY_NAME, "emergency_phone": settings.EMERGENCY_PHONE}
    context["emergency_email"] = settings.EMERGENCY_EMAIL
    domain = marking.domain()
    reference = delivery.reference
    mail = email.Mail(
        sender=settings.DEFAULT_FROM_EMAIL,
        recipients=recipients,
        subject=f"{notice.subject} [{marking.mark_of(reference)}]" if reference else notice.subject,
        text=render_to_string("notify/email/message.txt", context),
        html=render_to_string("notify/email/message.html", context),
        message_id=marking.message_id(delivery.pk),
        thread_id=f"rdmp.thread.{hashlib.sha256(delivery.url.encode()).hexdigest()[:16]}@{domain}"
        if delivery.url
        else "",
        reply_to=marking.reply_address(reference) if reference else "",
    )
    if settings.EMAIL_BACKEND != SMTP_BACKEND:
        return _hand_to_backend(mail)
    server = email.Server(
        host=settings.EMAIL_HOST,
        port=settings.EMAIL_PORT,
        username=settings.EMAIL_HOST_USER,
        password=settings.EMAIL_HOST_PASSWORD,
        implicit_tls=settings.EMAIL_USE_SSL,
        starttls=settings.EMAIL_USE_TLS,
        timeout_s=settings.EMAIL_TIMEOUT or 15,
    )
    return email.send(server, mail, now=now)


def _hand_to_backend(mail: email.Mail) -> Outcome:
    """Development without a mail server: Django's file backend keeps the mail where a person can read it."""
    headers = {"Message-ID": f"<{mail.message_id}>"}
    message = EmailMultiAlternatives(mail.subject, mail.text, mail.sender, list(mail.recipients), headers=headers)
    message.attach_alternative(mail.html, "text/html")
    try:
        get_connection().send_messages([message])
    except OSError as error:
        return Outcome(Verdict.FAILED, "not sent", type(error).__name__)
    return Outcome(Verdict.ACCEPTED, "kept", settings.EMAIL_BACKEND.rpartition(".")[2])
