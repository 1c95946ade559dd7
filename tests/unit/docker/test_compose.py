from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import sailplane
from sailplane.services import daily, launch

Compose = dict[str, Any]


def _environments(compose: Compose) -> dict[str, dict[str, Any]]:
    return {name: service.get("environment", {}) for name, service in compose["services"].items()}


def test_the_file_is_what_the_compose_specification_allows(compose: Compose) -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(compose)


def test_the_schema_refuses_a_misspelt_setting(compose: Compose) -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
    wrong = {**compose, "services": {"postgres": {**compose["services"]["postgres"], "healthchek": {}}}}
    with pytest.raises(jsonschema.ValidationError, match="healthchek"):
        jsonschema.Draft202012Validator(schema).validate(wrong)


def _run(command: list[str]) -> list[str]:
    """Returns the service's command without the shell's."""
    return command[2].rpartition("exec ")[2].split() if command[:2] == ["sh", "-c"] else command


def test_the_ledger_is_made_before_the_first_service_starts(compose: Compose) -> None:
    first = compose["services"]["airflow-api-server"]
    assert first["command"][2].startswith("sailplane ledger init --first; ")
    assert "ledger_url" in first["secrets"]


def test_every_embedded_service_has_a_container_that_starts_it_with_the_same_command(ours: Compose) -> None:
    commands = [_run(service["command"]) for service in ours.values()]
    assert {tuple(command[:2]) for command in commands} == {("sailplane", "run")}
    assert sorted(name for _, _, name in commands) == sorted([*launch.AIRFLOW, launch.SERVING, daily.NAME])


def test_every_service_has_a_health_check(compose: Compose) -> None:
    for name, service in compose["services"].items():
        assert service["healthcheck"]["test"][0] == "CMD", name


def test_a_service_waits_until_what_it_needs_is_healthy(compose: Compose) -> None:
    for name, service in compose["services"].items():
        for needed, condition in service.get("depends_on", {}).items():
            assert needed in compose["services"], name
            assert condition["condition"] == "service_healthy", name


def test_ports_are_published_on_loopback_only(compose: Compose) -> None:
    published = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert all(service.get("network_mode") != "host" for service in compose["services"].values())


def test_a_published_port_is_the_same_number_inside_and_outside(compose: Compose) -> None:
    """The addresses that the services record are valid on both sides."""
    for service in compose["services"].values():
        for port in service.get("ports", []):
            inside, outside = re.fullmatch(r"127\.0\.0\.1:(\$\{[^}]+\}):(\$\{[^}]+\})", port).groups()  # type: ignore[union-attr]
            assert inside == outside


def test_no_secret_stands_in_the_file(compose: Compose, project: Path) -> None:
    for name, environment in _environments(compose).items():
        for key, value in environment.items():
            secret = re.search(r"PASSWORD|SECRET|FERNET|SQL_ALCHEMY|LEDGER|API_KEY|TOKEN", key)
            assert not secret or value is None or "/run/secrets/" in value, f"{name}: {key}"
    assert "://sailplane:" not in (project / "docker" / "compose.yaml").read_text()


def test_every_secret_is_declared_mounted_where_it_is_read_and_made_by_the_script(
    compose: Compose, project: Path
) -> None:
    script = (project / "docker" / "make-secrets.sh").read_text()
    for name, service in compose["services"].items():
        read = set(re.findall(r"/run/secrets/(\w+)", str(service.get("environment", {}))))
        assert read == set(service.get("secrets", [])), name
    for secret, source in compose["secrets"].items():
        assert source == {"file": f"./secrets/{secret}"}
        assert f"keep {secret} " in script
    used = {secret for service in compose["services"].values() for secret in service.get("secrets", [])}
    assert used == set(compose["secrets"])


def test_a_secret_is_read_without_the_line_break_at_the_end_of_its_file(compose: Compose, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("a%b$c'd\n")
    commands = [v for k, v in compose["services"]["airflow-scheduler"]["environment"].items() if k.endswith("_CMD")]
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(re.sub(r"/run/secrets/\w+", str(tmp_path / "value"), command))
        assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "a%b$c'd"


def test_every_volume_network_and_file_that_is_used_exists(compose: Compose, project: Path) -> None:
    mounts = [mount.split(":")[0] for service in compose["services"].values() for mount in service.get("volumes", [])]
    named = {mount for mount in mounts if not mount.startswith(".")}
    assert named == set(compose["volumes"])
    assert all((project / "docker" / mount).is_file() for mount in mounts if mount.startswith("."))
    joined = {network for service in compose["services"].values() for network in service.get("networks", [])}
    assert joined == set(compose["networks"])


def test_the_database_has_no_way_out(compose: Compose) -> None:
    assert compose["services"]["postgres"]["networks"] == ["database"]
    assert compose["networks"]["database"] == {"internal": True}


def test_every_image_has_an_exact_tag(compose: Compose, project: Path) -> None:
    version = sailplane.__version__
    images = {service["image"] for service in compose["services"].values()}
    assert images == {f"sailplane:{version}", "postgres:17.6-bookworm"}


def test_no_container_runs_as_root_or_writes_outside_its_volumes(compose: Compose) -> None:
    for name, service in compose["services"].items():
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name


def test_every_setting_of_ours_is_one_that_the_platform_reads(compose: Compose, project: Path) -> None:
    source = "".join(path.read_text() for path in (project / "plugins" / "sailplane").rglob("*.py"))
    settings = {key for env in _environments(compose).values() for key in env if key.startswith("SAILPLANE_")}
    unread = {key for key in settings if f'"{key}"' not in source}
    assert not unread


def test_the_scheduler_reaches_supervisord_the_router_and_the_model_servers(ours: Compose) -> None:
    scheduler, serving = ours["airflow-scheduler"], ours["serving"]
    assert scheduler["network_mode"] == "service:serving"
    assert scheduler["volumes"] == serving["volumes"]
    assert scheduler["user"] == serving["user"]
    assert set(serving["networks"]) == set(ours["airflow-api-server"]["networks"])


def test_the_ui_answers_to_the_name_by_which_tasks_call_it(ours: Compose) -> None:
    api = ours["airflow-api-server"]["environment"]
    host = re.match(r"http://([\w-]+):", api["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"])
    assert host is not None
    assert host[1] == "airflow-api-server"
    assert api["SAILPLANE_ALLOWED_HOSTS"].split(",")[0] == host[1]


def test_nobody_is_an_admin_without_a_login(ours: Compose) -> None:
    """`SAILPLANE_LOGIN=off` in the shell, which is for `make up`, changes nothing."""
    for name, service in ours.items():
        given = service.get("environment", {})
        assert "SAILPLANE_LOGIN" not in given, name
        assert "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS" not in given, name
    api = ours["airflow-api-server"]["environment"]
    assert api["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"].endswith("admin:admin}")


def test_another_auth_manager_reaches_every_container_of_airflow_and_by_default_there_is_none(ours: Compose) -> None:
    """An empty setting would count as a wrong one."""
    airflow = [service["environment"] for name, service in ours.items() if name.startswith("airflow-")]
    assert len(airflow) == 4
    assert {env.get("AIRFLOW__CORE__AUTH_MANAGER", "missing") for env in airflow} == {None}


def test_a_proxy_that_docker_hands_on_is_not_asked_for_the_api_server(ours: Compose) -> None:
    for name, service in ours.items():
        if "AIRFLOW__CORE__EXECUTION_API_SERVER_URL" in service["environment"]:
            assert service["environment"]["NO_PROXY"].split(",")[0] == "airflow-api-server", name
