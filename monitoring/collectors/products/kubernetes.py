"""Kubernetes from its own API server, with a read-only service account: nothing needs to be installed.

What ended as planned is no fault: containers that Completed and pods of Jobs are left out. Pods come and go, so they
are counted under the workload that owns them; a workload without failures says 0, so that an alert recovers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from monitoring.collectors.products.frame import CannotReadError, Http, Prerequisite, Product, Visit, share

PAGE: Final = 250
MAX_PAGES: Final = 60
Item = Mapping[str, Any]


async def collect(visit: Visit) -> None:
    async with visit.http(headers={"Authorization": f"Bearer {visit.password}"}) as http:
        version = json.loads(await http.get("/version"))
        visit.version("Kubernetes", str(version.get("gitVersion", "")))
        async for deployment in _all(http, "/apis/apps/v1/deployments"):
            _deployment(visit, deployment)
        async for node in _all(http, "/api/v1/nodes"):
            _node(visit, node)
        failed: dict[tuple[str, str], int] = {}
        ended: dict[tuple[str, str], int] = {}
        async for pod in _all(http, "/api/v1/pods"):
            key = workload(pod)
            if key is not None:
                failed[key] = failed.get(key, 0) + (pod.get("status", {}).get("phase") == "Failed")
                ended[key] = ended.get(key, 0) + sum(terminated(pod))
    for metric, counts in (("k8s.workload.failed_pods", failed), ("k8s.workload.terminated_containers", ended)):
        for (namespace, name), count in counts.items():
            visit.add(metric, count, namespace=namespace, workload=name)


async def _all(http: Http, path: str) -> AsyncIterator[Item]:
    """Every object of a list, page by page."""
    following = ""
    for _ in range(MAX_PAGES):
        text = await http.get(f"{path}?limit={PAGE}{f'&continue={quote(following)}' if following else ''}")
        try:
            found = json.loads(text)
            items = found["items"] or []
        except (ValueError, KeyError, TypeError):
            raise CannotReadError("wrong_page", f"{path}: {text[:80]!r}") from None
        for item in items:
            yield item
        following = found.get("metadata", {}).get("continue", "")
        if not following:
            return


def _deployment(visit: Visit, item: Item) -> None:
    meta, status = item["metadata"], item.get("status", {})
    wanted = int(item.get("spec", {}).get("replicas", 1))
    labels = {"namespace": str(meta.get("namespace", "")), "deployment": str(meta["name"])}
    visit.add("k8s.deployment.unavailable", int(status.get("unavailableReplicas", 0)), **labels)
    if wanted > 0:  # scaled to nothing on purpose: of nothing there is no share
        visit.add("k8s.deployment.available_pct", share(int(status.get("availableReplicas", 0)), wanted), **labels)


def _node(visit: Visit, item: Item) -> None:
    name = str(item["metadata"]["name"])
    visit.add("k8s.node.unschedulable", bool(item.get("spec", {}).get("unschedulable", False)), node=name)
    conditions = item.get("status", {}).get("conditions", [])
    ready = next((one.get("status") for one in conditions if one.get("type") == "Ready"), None)
    if ready is not None:
        visit.add("k8s.node.ready", ready == "True", node=name)


def workload(pod: Item) -> tuple[str, str] | None:
    """Namespace and owner of a pod: its deployment, set or daemon; itself without an owner; None for those of Jobs."""
    meta = pod["metadata"]
    owner = next((one for one in meta.get("ownerReferences", []) if one.get("controller")), None)
    namespace = str(meta.get("namespace", ""))
    if owner is None:
        return namespace, str(meta["name"])
    if owner.get("kind") == "Job":
        return None
    name = str(owner["name"])
    if owner.get("kind") == "ReplicaSet" and (template := meta.get("labels", {}).get("pod-template-hash")):
        name = name.removesuffix(f"-{template}")
    return namespace, name


def terminated(pod: Item) -> Iterator[bool]:
    """For each container whether it is ended now, other than by having completed."""
    status = pod.get("status", {})
    for container in (*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())):
        ended = container.get("state", {}).get("terminated")
        yield ended is not None and ended.get("reason") != "Completed"


PRODUCT: Final = Product(
    slug="kubernetes",
    name_zh="Kubernetes",
    name_en="Kubernetes",
    icon="ship",
    port=6443,
    collect=collect,
    asks=frozenset({"password", "tls"}),
    needs="Kubernetes ≥ 1.16",
    prerequisites=(
        Prerequisite(
            "建立只读的服务账号（保存为 rdmp.yaml 并执行 kubectl apply -f rdmp.yaml）。",
            "Make a read-only service account (save as rdmp.yaml, run kubectl apply -f rdmp.yaml).",
            "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: rdmp, namespace: kube-system}\n---\n"
            "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/service-account-token\n"
            "metadata: {name: rdmp, namespace: kube-system, annotations: {kubernetes.io/service-account.name: rdmp}}\n"
            "---\n"
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: rdmp}\nrules:\n"
            '- {apiGroups: [""], resources: [nodes, pods], verbs: [list]}\n'
            "- {apiGroups: [apps], resources: [deployments], verbs: [list]}\n---\n"
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: rdmp}\n"
            "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: rdmp}\n"
            "subjects: [{kind: ServiceAccount, name: rdmp, namespace: kube-system}]",
        ),
        Prerequisite(
            "取出令牌，填入“密码”一栏；API Server 用 TLS，证书由集群自己的 CA 签发时关闭证书校验或先信任该 CA。",
            "Take its token for the password field. The API server speaks TLS; where the cluster's own CA signed its "
            "certificate, trust that CA first or switch the check off.",
            "kubectl -n kube-system get secret rdmp -o jsonpath='{.data.token}' | base64 -d",
        ),
    ),
)
