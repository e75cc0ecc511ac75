"""What collectors and configurations complain about, in words for people: what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise

PROBLEMS: Final[Mapping[str, Text]] = {
    "timeout": _("No answer in time. Check that the address is right and that no firewall is in between."),
    "refused": _("The connection was refused: nothing listens at this address. Check that the program runs."),
    "reset": _("The connection was cut off by the other side before it answered."),
    "unreachable": _("The address cannot be reached. Check the network between the platform and the host."),
    "dns": _("The name cannot be resolved. Check its spelling and its DNS record."),
    "blocked": _(
        "The address lies inside the platform (loopback, metadata or its own network). "
        "An administrator can allow this target."
    ),
    "local": _("The platform itself could not connect; the customer's system is not to blame."),
    "tls": _("The certificate was refused."),
    "protocol": _("The answer is not HTTP."),
    "unauthorised": _("The exporter refuses the token. Enter the token that its configuration has."),
    "http_status": _("The exporter answered with an error instead of its figures. Check the path."),
    "not_prometheus": _("The answer is not in Prometheus format. Check the address: it usually ends in /metrics."),
    "no_known_series": _(
        "The page holds no figures that the platform knows. Check that it is the agent's or node_exporter's."
    ),
    "too_large": _("The page is larger than any exporter's and was not read."),
    "not_permitted": _(
        "The platform may not send ping packets on this machine. Give the worker the capability CAP_NET_RAW "
        "or widen net.ipv4.ping_group_range."
    ),
    "key_invalid": _("Alibaba Cloud refuses the AccessKey. Enter a valid one at the cloud account."),
    "access_denied": _("The AccessKey may not read CloudMonitor. Grant AliyunCloudMonitorReadOnlyAccess."),
    "throttled": _("Alibaba Cloud limits the number of calls. Collecting goes on by itself, only slower."),
    "provider_error": _("Alibaba Cloud answered with an error. Collecting is tried again by itself."),
    "no_credentials": _("The cloud account has no AccessKey yet. Enter one at the cloud account."),
    "sign_in": _("The server refuses the user name or the password."),
    "forbidden": _("The server does not let the platform's address in. Allow it where the status page is configured."),
    "path_missing": _(
        "There is nothing at this path (404). Check the path and that the configuration was loaded again."
    ),
    "server_error": _("The server answered with an error instead of its status."),
    "wrong_page": _("What answers is not this product's status. Check host, port and path, and the product chosen."),
    "privilege": _("The user may not read part of the status. Give it the right named here."),
    "disabled": _("The server does not show its status yet. Switch it on as the prerequisites say."),
    "version": _("This version is too old to be read."),
    "wrong_product": _("This is another product. Choose the one named here, so that no alarm comes twice."),
    "config": _("The configuration of this target is not valid any more. Open it and save it again."),
    "store": _("The figures were read but could not be stored. They are tried again."),
}
"""Why a collector could not look, by the code that the collectors give."""

CONFIG_ERRORS: Final[Mapping[str, Text]] = {
    "required": _("This is needed."),
    "unknown_field": _("There is no such setting."),
    "host": _("Enter a host name or an IP address."),
    "port": _("Enter a port between 1 and 65535."),
    "range": _("The number is outside what is possible here."),
    "choice": _("Choose one of the values offered."),
    "text": _("The text is too long."),
    "status_list": _("Enter status codes and ranges, separated by commas, such as 200-399,401."),
    "headers": _("Enter one header per line as Name: value."),
    "path": _("Enter a path that begins with / and has no spaces."),
    "url": _("Enter an address that begins with http:// or https://."),
    "url_credentials": _("Do not put a user or password into the address: it would show in lists and logs."),
}
"""What is wrong with a field of a configuration, by the code of `collectors.config.ConfigError`."""

STEPS: Final[Mapping[str, Text]] = {
    "http": _("Answer"),
    "fetch": _("Request"),
    "resolved": _("Name resolved"),
    "signed_in": _("Signed in"),
    "figures": _("Figures"),
    "read": _("Read (lines, known series, figures)"),
    "connected": _("Connected"),
    "ping": _("Ping (received/sent, round trip)"),
    "point": _("Probe point"),
    "certificate": _("Certificate, days left"),
    "cms": _("CloudMonitor (pages, new figures)"),
    "cms_foreign": _("Not among the assets"),
}
"""The steps that "test now" shows."""


def problem_text(code: str) -> Text:
    return PROBLEMS.get(code, code)


def config_error_text(code: str) -> Text:
    return CONFIG_ERRORS.get(code, code)


def step_text(name: str) -> Text:
    return STEPS.get(name) or PROBLEMS.get(name, name)
