"""What happened on the first customer's cloud in the last three months, as its audit trail tells it."""

from datetime import datetime, timedelta

from demo.aliyun.estate import Estate
from demo.aliyun.trail import add_trail_event

OFFICE, HOME, ABROAD = "203.0.113.20", "198.51.100.7", "192.0.2.77"
SCALING = "AliyunServiceRoleForAutoScaling:ess-session"


def write(estate: Estate, now: datetime) -> None:
    """Signing in on workdays, nightly snapshots by a service role, releases, and some things that ask for a look."""
    for days in range(88, 0, -1):
        morning = now - timedelta(days=days)
        if morning.weekday() < 5:
            for who, ip, minutes in (("zhangwei", OFFICE, 10), ("liuyang", OFFICE if days % 3 else HOME, 25)):
                at = morning + timedelta(minutes=minutes)
                add_trail_event(estate, service="AasSub", action="ConsoleSignin", at=at, who=who, ip=ip)
        if days % 4 == 0:
            _snapshot(estate, "mall-job-01" if days % 8 else "bi-etl-01", morning + timedelta(hours=16))
    ecs = {name: {"ACS::ECS::Instance": [_id(estate, name)]} for name in ("mall-web-01", "mall-app-02", "bi-etl-01")}
    for days, who, action, name in (
        (41, "zhangwei", "RebootInstance", "mall-app-02"),
        (23, "liuyang", "ModifyInstanceAttribute", "mall-web-01"),
        (12, "rdmp-admin", "StopInstance", "bi-etl-01"),
        (12, "rdmp-admin", "StartInstance", "bi-etl-01"),
        (6, "liuyang", "RebootInstance", "mall-web-01"),
        (2, "deploy-robot", "RunCommand", "mall-app-02"),
    ):
        key = "LTAISIMULATEDDEPLOY" if who == "deploy-robot" else ""
        at = now - timedelta(days=days, hours=-3, minutes=len(action))
        add_trail_event(estate, action=action, at=at, who=who, key=key, ip=OFFICE, resources=ecs[name])
    group = {"ACS::ECS::SecurityGroup": ["sg-bp1demo000000000000001"]}
    opened: dict[str, object] = {"SecurityGroupId": "sg-bp1demo000000000000001", "IpProtocol": "tcp"}
    opened |= {"PortRange": "22/22", "SourceCidrIp": "0.0.0.0/0"}
    at = now - timedelta(days=3, hours=-5)
    add_trail_event(
        estate, action="AuthorizeSecurityGroup", at=at, who="liuyang", ip=HOME, resources=group, parameters=opened
    )
    add_trail_event(
        estate, service="AasCustomer", action="ConsoleSignin", at=now - timedelta(days=9), who="root",
        kind="root-account", ip=ABROAD,
    )  # fmt: skip
    add_trail_event(
        estate, service="Ram", action="CreateAccessKey", at=now - timedelta(days=5), who="zhangwei", ip=OFFICE,
        parameters={"UserName": "bi-report"}, answered={"AccessKey": {"AccessKeyId": "LTAISIMULATEDBIREPORT"}},
    )  # fmt: skip
    add_trail_event(
        estate, action="DeleteInstance", at=now - timedelta(days=4), who="intern-li", ip=HOME, error="Forbidden.RAM",
        resources=ecs["mall-web-01"],
    )  # fmt: skip


def _snapshot(estate: Estate, name: str, at: datetime) -> None:
    instance = {"ACS::ECS::Instance": [_id(estate, name)]}
    add_trail_event(
        estate, action="CreateSnapshot", at=at, who=SCALING, kind="assumed-role", ip="ecs.aliyuncs.com",
        resources=instance,
    )  # fmt: skip


def _id(estate: Estate, name: str) -> str:
    return str(estate.find(name)["InstanceId"])
