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
    "quota_exhausted": _(
        "The month's free calls to CloudMonitor are used up. Reading rests and is tried again every hour; "
        "the customer can buy calls, or the next month begins with new ones."
    ),
    "clock": _("The clock of this machine is more than 15 minutes wrong, so Alibaba Cloud refuses. Please correct it."),
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
    "points_missing": _(
        "Too few probe points could ask, so nothing is said about the site."
        " The status page tells which ones are missing."
    ),
    "location_offline": _("This probe point has no connection to the network itself; the site is not to blame."),
    "rdap_unknown": _(
        "The registry of this ending answers no machine (RDAP). Enter the day on which the domain expires by hand."
    ),
    "rdap_silent": _("The registry did not answer. It is asked again by itself."),
    "rdap_limited": _("The registry limits the number of questions. It is asked again by itself."),
    "rdap_no_date": _("The registry does not say when the domain expires. Enter the day by hand."),
    "old_agent": _(
        "The agent has no host state yet. Install version 1.1 or later and check that the address ends in /state."
    ),
    "config": _("The configuration of this target is not valid any more. Open it and save it again."),
    "node_behind": _("The node is too old for this check. Upgrade it."),
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
    "json_path": _("Enter a JSON path such as $.data.status (RFC 9535)."),
    "variable": _("Names of variables have letters, digits and underscores, and do not begin with a digit."),
    "variable_host": _("A variable cannot stand in the host of an address: secrets would go to wherever it points."),
    "unknown_variable": _("A step uses a variable that no step before it and no secret provides."),
    "too_many_steps": _("A check has 20 steps at most."),
    "step_name": _("Give each step a name: it is what the alarm says."),
    "pattern": _("Enter a regular expression (RE2 syntax: without look-ahead and back references)."),
    "date": _("Enter a day such as 2027-03-31."),
    "secret_lines": _("Enter one secret per line as name=value."),
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
    "signed_in": _("Sign-in"),
    "figures": _("Figures"),
    "version": _("Version"),
    "replica": _("Replication"),
    "health": _("Health check"),
    "read": _("Read (lines, known series, figures)"),
    "connected": _("Connected"),
    "ping": _("Ping (received/sent, round trip)"),
    "point": _("Probe point"),
    "dns_answer": _("Records"),
    "tls_verdict": _("Handshake"),
    "chain": _("In the chain (of ← issued by)"),
    "domain_ends": _("Days until the domain expires"),
    "domain_unknown": _("Nobody has registered this domain"),
    "certificate": _("Certificate, days left"),
    "cms": _("CloudMonitor (pages, new figures)"),
    "cms_foreign": _("Not among the assets"),
    "rds": _("RDS performance (instances, new figures)"),
}
"""The steps that "test now" shows."""


FACTS: Final[Mapping[str, Text]] = {
    "version": _("Version"),
    "role": _("Role"),
    "java": _("Java machine"),
    "pool": _("Pool"),
    "slow_sql": _("Slow SQL"),
}
"""What a server says of itself, by the name that collectors give it."""


def fact_text(name: str) -> Text:
    return FACTS.get(name, name)


def problem_text(code: str) -> Text:
    return PROBLEMS.get(code, code)


def config_error_text(code: str) -> Text:
    return CONFIG_ERRORS.get(code, code)


def step_text(name: str) -> Text:
    return STEPS.get(name) or PROBLEMS.get(name, name)
