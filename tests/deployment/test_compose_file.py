"""Check docker-compose.yml without Docker: whether it fits the schema of the Compose specification, and whether the
services start in the right order.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from composed import COMPOSE, DOCKERFILE, ROOT, composed, image_environment

from thumblab_cli.servers.lab_servers import DAGSTER_ENVIRONMENT
from thumblab_core.keys.secret_files import secret_file_variables
from thumblab_core.settings import Settings, variable

READ = composed({})
SERVICES = READ["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_the_file_follows_the_compose_specification() -> None:
    check = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, str(COMPOSE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_has_a_default_and_a_line_in_the_example() -> None:
    names = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE.read_text()))
    assert names
    example = (ROOT / ".env.example").read_text()
    assert {name for name in names if f"#{name}=" not in example} == set()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_closed_bounded_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service.get("healthcheck"), "the health check of a service that ends by itself must have `disable: true`"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), (
        "every published port must be closed to other machines"
    )


def test_every_name_in_a_service_is_defined() -> None:
    targets = set(re.findall(r"^FROM .* AS (\S+)", DOCKERFILE.read_text(), re.MULTILINE))
    for name, service in SERVICES.items():
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= READ["volumes"].keys(), name
        assert set(service.get("secrets", [])) <= READ["secrets"].keys(), name
        assert service.get("depends_on", {}).keys() <= SERVICES.keys(), name
        if name in OURS:
            assert service["build"]["target"] in targets
            assert service["image"] == f"thumblab-{service['build']['target']}"


def test_servers_start_after_the_migrations_and_migrations_after_the_database() -> None:
    completed = {"condition": "service_completed_successfully"}
    assert SERVICES["migrations"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("mlflow", "code-server", "dagster", "dagster-daemon"):
        assert SERVICES[name]["depends_on"]["migrations"] == completed, name
    # The scoring service also works without a database, so it waits for no other service.
    assert "depends_on" not in SERVICES["scoring"]


def test_no_secret_is_in_the_environment_of_a_container() -> None:
    files = secret_file_variables(Settings)
    secret = {variable(field) for field in files.values()} - {"THUMBLAB_DATABASE_URL"}
    for name, service in SERVICES.items():
        environment = {**service["environment"]}
        assert not environment.keys() & {*secret, "POSTGRES_PASSWORD"}, name
        assert "@" not in environment.get("THUMBLAB_DATABASE_URL", "").replace("thumblab@", ""), (
            "the URL must not contain the password"
        )
        for key, value in environment.items():
            if key.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"], (name, key)


def test_every_setting_in_the_file_exists() -> None:
    known = {*map(variable, Settings.model_fields), *secret_file_variables(Settings)}
    for service in OURS.values():
        own = {name for name in service["environment"] if name.startswith("THUMBLAB_")}
        assert own <= known


def test_a_browser_may_open_mlflow_at_any_port_of_this_machine_and_under_no_other_name() -> None:
    from mlflow.server.security_utils import is_allowed_host_header

    (allowed,) = re.findall(r"--allowed-hosts '(\S+)'", SERVICES["mlflow"]["command"][-1])
    hosts = ("127.0.0.1:5000", "127.0.0.1:5050", "localhost:8080", "mlflow:5000", "rebound.example.com:5000")
    assert [is_allowed_host_header(allowed.split(","), host) for host in hosts] == [True, True, True, True, False]


def test_links_lead_to_addresses_that_a_browser_on_this_machine_can_open() -> None:
    environment = OURS["code-server"]["environment"]
    for name, service in (("THUMBLAB_ALERT_DAGSTER_URL", "dagster"), ("THUMBLAB_MLFLOW_PAGE_URL", "mlflow")):
        (published,) = SERVICES[service]["ports"]
        assert environment[name] == f"http://{published.rpartition(':')[0]}"


def test_all_writes_go_to_the_volume() -> None:
    environment = image_environment("pipelines")
    for name in ("THUMBLAB_DATA_DIR", "HOME", "XDG_CACHE_HOME", "HF_HOME", "TORCH_HOME", "MPLCONFIGDIR"):
        assert (environment[name] + "/").startswith("/data/"), name
    # DAGSTER_HOME contains only dagster.yaml. If DAGSTER_HOME were in the volume, dagster.yaml would keep its old
    # content after an update of the image.
    assert environment["DAGSTER_HOME"] == "/lab/dagster-home"
    own = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    added = yaml.safe_load((ROOT / "deploy" / "dagster-storage.yaml").read_text())
    assert not own.keys() & added.keys(), "the Dockerfile joins both files, so they must not have a key in common"
    for part in added.values():
        assert part["config"]["base_dir"].startswith("/data/")


def test_dagsters_servers_have_the_same_variables_as_without_containers() -> None:
    assert DAGSTER_ENVIRONMENT
    assert DAGSTER_ENVIRONMENT.items() <= image_environment("pipelines").items()


def test_the_database_has_the_major_version_of_the_embedded_one() -> None:
    from thumblab_core.embedded_postgres.location import _INSTALL

    assert SERVICES["postgres"]["image"].removeprefix("pgvector/pgvector:pg") == _INSTALL.name.removeprefix("pginstall")


def test_the_images_run_as_an_ordinary_user_and_copy_only_what_exists() -> None:
    lines = DOCKERFILE.read_text().replace("\\\n", " ").splitlines()
    assert "USER thumblab" in lines
    assert {target: image_environment(target)["THUMBLAB_DATA_DIR"] for target in ("serving", "pipelines")} == {
        "serving": "/data",
        "pipelines": "/data",
    }
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), line
                kept = "requirements*.lock" if source.startswith("requirements") else source.split("/")[0]
                assert f"!{kept}" in ignored, source
