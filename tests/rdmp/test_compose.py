"""docker-compose.yml and Dockerfile, which no test can run, held against Procfile and settings so that they agree."""

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from honcho.environ import parse_procfile

ROOT = Path(__file__).resolve().parent.parent.parent
# Runs on the hosts that are watched, not beside the portal.
ONLY_IN_PROCFILE = {"agent", "demo"}
SERVERS = {"postgres", "redis", "proxy"}
# What uvicorn reads by itself.
OF_LIBRARIES = {"FORWARDED_ALLOW_IPS"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def procfile() -> dict[str, str]:
    return dict(parse_procfile((ROOT / "Procfile").read_text(encoding="utf-8")).processes)


def variables_read() -> set[str]:
    """Every variable that the product reads: through rdmp.environment, or by name in the launcher."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "rdmp").rglob("*.py")]
    nodes = (node for source in sources for node in ast.walk(ast.parse(source)))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if re.fullmatch(VARIABLE, text)}


VARIABLE = r"(RDMP|NOTIFY|EMAIL)_[A-Z_]+|DATABASE_URL|REDIS_URL|DEFAULT_FROM_EMAIL"


def words(command: str | list[str]) -> list[str]:
    """The command itself, without the shell around it and without compose's doubled dollars."""
    parts = shlex.split(command) if isinstance(command, str) else command
    inner = parts[-1] if parts[:2] == ["/bin/sh", "-c"] else shlex.join(parts)
    return inner.replace("$$", "$").removeprefix("exec ").split()


def test_every_process_of_the_procfile_is_a_service_with_the_same_command(compose: dict[str, Any]) -> None:
    processes = procfile()
    assert set(compose["services"]) == (set(processes) - ONLY_IN_PROCFILE) | SERVERS | {"migrate"}
    for name, command in processes.items():
        if name not in ONLY_IN_PROCFILE:
            assert words(compose["services"][name]["command"]) == command.removeprefix("exec ").split(), name


def queues_of(process: str) -> set[str]:
    found = re.search(r"--queues (\S+)", procfile()[process])
    return set(found[1].split(",")) if found else set()


def test_every_queue_has_a_process_and_what_waits_for_hosts_holds_up_no_clock() -> None:
    listened = {name: queues_of(name) for name in procfile()}
    assert set().union(*listened.values()) == set(settings.QUEUES)
    assert listened["automation"] == {"automation"}
    assert "automation" not in listened["worker"]


def test_what_computes_for_minutes_has_one_process_of_its_own_behind_all_others() -> None:
    assert queues_of("reports") == {"reports"}
    assert not {"reports"} & set().union(*(queues_of(name) for name in procfile() if name != "reports"))
    command = procfile()["reports"]
    assert command.startswith("exec nice -n 10 celery ")
    assert "--concurrency 1 " in command


def test_the_images_own_command_is_that_of_web() -> None:
    line = next(line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("CMD "))
    assert words(ast.literal_eval(line.removeprefix("CMD "))) == procfile()["web"].removeprefix("exec ").split()


def test_every_variable_that_a_command_uses_is_set_for_its_service(compose: dict[str, Any]) -> None:
    for name, command in procfile().items():
        if name not in ONLY_IN_PROCFILE:
            used = set(re.findall(r"\$([A-Z_]+)", command))
            assert used <= set(compose["services"][name]["environment"]), name


def test_every_variable_set_in_compose_is_one_that_the_product_reads(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name not in SERVERS:
            given = {variable.removesuffix("_FILE") for variable in service["environment"]}
            assert given - variables_read() - OF_LIBRARIES == set(), name


def test_every_variable_that_the_product_reads_is_explained_in_env_example_and_no_other() -> None:
    explained = set(re.findall(r"(?m)^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8")))
    assert explained == variables_read() | {"RDMP_AGENT_PORT"}


def test_the_product_gets_what_it_refuses_to_start_without(compose: dict[str, Any]) -> None:
    needed = {"RDMP_SECRET_KEY_FILE", "RDMP_MASTER_KEYS_FILE", "RDMP_PUBLIC_URL", "DATABASE_URL_FILE", "REDIS_URL_FILE"}
    for name in ("web", "worker", "reports", "automation", "poller", "beat", "migrate"):
        environment = compose["services"][name]["environment"]
        assert needed <= set(environment), name
        assert environment["RDMP_PUBLIC_URL"].startswith("https://")
        assert not {"RDMP_DEMO", "RDMP_DEBUG"} & set(environment)


def test_every_secret_that_a_service_names_is_mounted_and_made_by_the_script(compose: dict[str, Any]) -> None:
    made = set(re.findall(r'keep\("(\w+)"', (ROOT / "deploy" / "make_secrets.py").read_text()))
    assert made == set(compose["secrets"])
    for name, service in compose["services"].items():
        text = yaml.safe_dump(service)
        assert set(re.findall(r"/run/secrets/(\w+)", text)) <= set(service.get("secrets", [])), name
        assert set(service.get("secrets", [])) <= made, name


def test_services_wait_for_the_servers_and_the_tables(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("web", "worker", "reports", "automation", "poller", "beat"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert services[name]["depends_on"]["postgres"] == {"condition": "service_healthy"}
        assert services[name]["depends_on"]["redis"] == {"condition": "service_healthy"}
    assert services["migrate"]["restart"] == "no"
    assert {"healthcheck"} <= set(services["postgres"]) & set(services["redis"]) & set(services["web"])
    assert services["proxy"]["depends_on"]["web"] == {"condition": "service_healthy"}


def test_only_the_proxy_and_the_node_are_reachable_from_outside(compose: dict[str, Any]) -> None:
    assert {name for name, service in compose["services"].items() if "ports" in service} == {"proxy", "node"}


def test_the_node_has_its_own_volume_and_its_own_secret_alone(compose: dict[str, Any]) -> None:
    node = compose["services"]["node"]
    assert node["secrets"] == ["node_secret"]
    assert node["env_file"] == []
    assert [volume.partition(":")[0] for volume in node["volumes"]] == ["node"]
    assert not {name for name in node["environment"] if re.search("DATABASE|REDIS|MASTER|SECRET_KEY", name)}
    assert node["healthcheck"]["test"][-1] == "node"
    assert compose["services"]["proxy"]["networks"]["default"]["aliases"] == [
        node["environment"]["RDMP_NODE_PORTAL"].removeprefix("https://")
    ]


def test_redis_keeps_what_it_has_and_never_evicts_work(compose: dict[str, Any]) -> None:
    script = compose["services"]["redis"]["command"][-1]
    for line in ("appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction", "requirepass"):
        assert line in script


def test_the_image_runs_without_rights_and_brings_the_system_libraries_of_set_up() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    final = dockerfile.rsplit("\nFROM ", 1)[1]
    assert re.search(r"(?m)^USER rdmp$", final)
    assert final.index("USER rdmp") < final.index("CMD ")
    needed = re.findall(r'Need\("([^"]+)", library=', (ROOT / "scripts" / "system.py").read_text())
    assert needed
    assert all(package in final for package in needed)


def test_the_image_is_built_from_hashed_pins_and_from_files_that_exist() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes" in dockerfile
    assert "npm ci" in dockerfile
    for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", dockerfile):
        *sources, _target = line.split()
        assert all((ROOT / source).exists() for source in sources), line


def test_no_secret_and_no_data_reaches_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".git", ".env", ".rdmp", ".venv", "deploy"} <= set(ignored)
