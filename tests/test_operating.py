"""What operators are told works with this version: the unit, the compose file, the guide, and the commands in them."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from program import COMMAND, Program
from test_worker_watched import ACCEPTED, ask, figures, watching
from test_workers_program import SEND, Site, finished, site

from mailer.cli.worker import Page
from mailer.cluster.exposition import Exposition
from mailer.cluster.vitals import State, Vitals
from mailer.model import Overview, Phase, Status
from mailer.settings import Settings
from mailer.settings.values import duration

__all__ = ["site"]

UNIT, COMPOSE, GUIDE = Page.SYSTEMD.text(), Page.COMPOSE.text(), Page.GUIDE.text()
# twice smtp_timeout, and a minute to give the rest back
LEAST_PATIENCE = 2 * Settings.model_fields["smtp_timeout"].default + 60


def directives(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def composed() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE)


@pytest.mark.parametrize("page", Page)
def test_each_is_printed_as_it_is_without_any_settings_and_on_every_console(page: Page, tmp_path: Path) -> None:
    done = Program(folder=tmp_path, settings={"PYTHONIOENCODING": "cp1252"}).run("worker", "--print", page.value)
    assert (done.returncode, done.stdout) == (0, page.text() + "\n")
    assert page.text().isascii()


def test_no_line_of_them_names_this_computer_or_a_secret() -> None:
    for text in (UNIT, COMPOSE, GUIDE):
        assert not re.search(r"/home/|/work|@(?!database|\.service|[12]\b|\*|privileged|resources|system)\w", text)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    "command",
    [shlex.split(directives("ExecStart")[0])[1:], composed()["services"]["worker"]["command"]],
    ids=["systemd", "compose"],
)
@pytest.mark.thorough
def test_the_command_that_they_start_sends_a_campaign_and_ends_with_zero(site: Site, command: list[str]) -> None:
    site.program.run(*SEND)
    port = command[command.index("--metrics") + 1]
    assert re.fullmatch(r"93[0-9%i]+", port)
    words = ["0" if word == port else word for word in command]
    assert words[0] == "worker"
    worker = site.worker(*words[1:])
    site.until(finished)
    worker.send_signal(signal.SIGTERM)
    site.ended(worker, code=0)


def test_a_worker_gets_more_time_to_end_than_a_mail_server_to_answer() -> None:
    assert duration(directives("TimeoutStopSec")[0]) >= LEAST_PATIENCE
    assert duration(composed()["services"]["worker"]["stop_grace_period"]) >= LEAST_PATIENCE


def test_secrets_are_files_that_settings_take() -> None:
    given = dict(word.split("=", 1) for line in directives("Environment") for word in line.split())
    given |= composed()["services"]["worker"]["environment"]
    names = {name for name in given if name.startswith("MAILER_")}
    assert names == {"MAILER_LEDGER_FILE", "MAILER_SMTP_PASSWORD_FILE"}
    for name in names:
        assert name.removeprefix("MAILER_").removesuffix("_FILE").lower() in Settings.model_fields
    credentials = {line.partition(":")[0] for line in directives("LoadCredential")}
    assert {value.removeprefix("%d/") for value in given.values() if value.startswith("%d/")} <= credentials


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_unit_and_finds_little_that_it_could_harm(tmp_path: Path) -> None:
    unit = tmp_path / "mailer-worker@1.service"
    unit.write_text(UNIT.replace("/opt/mailer/bin/mailer", sys.executable), encoding="utf-8")
    verified = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    looked = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert looked.returncode == 0, looked.stdout[-300:]


def test_the_compose_file_is_whole() -> None:
    """What `docker compose config` would refuse: names of networks, secrets, volumes and services that nobody defines."""
    file = composed()
    for service in file["services"].values():
        assert set(service.get("networks", ())) <= file["networks"].keys()
        assert set(service.get("secrets", ())) <= file["secrets"].keys()
        assert set(service.get("depends_on", ())) <= file["services"].keys()
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source.startswith("./") or source in file["volumes"]
        assert service["restart"] == "unless-stopped"
        assert "ports" not in service, "nothing of it can be reached from elsewhere"
    assert file["networks"]["inside"]["internal"]
    assert file["services"]["database"]["networks"] == ["inside"]
    assert all(one["file"].startswith("./secrets/") for one in file["secrets"].values())
    assert not re.search(r"(?i)password: *\S", COMPOSE)
    inline = file["services"]["worker"]["build"]["dockerfile_inline"]
    extras = re.search(r"\[([a-z,]+)\]", inline)
    assert extras
    assert set(extras[1].split(",")) == {"postgresql", "metrics"}
    assert (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8").count("\nmetrics = [") == 1


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker here")
def test_docker_takes_the_compose_file(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE, encoding="utf-8")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, timeout=60).returncode:
        pytest.skip("docker without compose")
    done = subprocess.run(
        ["docker", "compose", "config", "--quiet"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_the_health_check_of_the_container_tells_well_from_unwell() -> None:
    check = composed()["services"]["worker"]["healthcheck"]["test"]
    vitals = Vitals()
    with watching(vitals) as endpoint:
        command = [sys.executable, *check[2:-1], check[-1].replace("9325", str(endpoint.port))]
        assert f":{endpoint.port}/health" in command[-1]
        assert subprocess.run(command, capture_output=True, timeout=60).returncode != 0
        vitals.enter(State.WORKING)
        assert ask(endpoint.port, "/health")[0] == 200
        assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def test_the_alarms_ask_for_figures_that_there_are() -> None:
    from datetime import UTC, datetime

    vitals = Vitals()
    vitals.recorded("appeal", Status.SENT, ACCEPTED)
    vitals.unconnected[Phase.CONNECT] += 1
    vitals.overview = Overview(at=datetime.now(UTC), campaigns={"appeal": {Status.QUEUED: 3}}, halted=1, workers=1)
    names = {name for name, _ in figures(Exposition(vitals).text().decode())}
    [rules] = [block for block in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL) if "alert:" in block]
    wanted = set(
        re.findall(r"mailer_\w+", " ".join(rule["expr"] for rule in yaml.safe_load(rules)["groups"][0]["rules"]))
    )
    assert len(wanted) >= 4
    assert wanted <= names


@pytest.mark.thorough
def test_every_command_and_code_in_the_guide_exists() -> None:
    commands = set(re.findall(r"`mailer ([a-z]+(?: [a-z]+)?)", GUIDE + UNIT + COMPOSE))
    known = {"ledger restored", "suppress export", "suppress import"}
    for command in sorted(commands):
        words = command.split() if command in known else command.split()[:1]
        done = subprocess.run([*COMMAND, *words, "--help"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, command
    options = {("ledger", "restored"): "--nothing-sent-since", ("resolve",): "--postfix-log", ("worker",): "--print"}
    for words, option in options.items():
        assert option in GUIDE
        done = subprocess.run([*COMMAND, *words, "--help"], capture_output=True, text=True, timeout=60)
        assert option in done.stdout
    codes = set(re.findall(r"^\| `([a-z-]+)` \|", GUIDE, re.MULTILINE))
    source = (Path(__file__).parent.parent / "mailer/cluster/vitals.py").read_text(encoding="utf-8")
    assert codes == {"starting", "ledger", "ledger-silent", "stalled"}
    assert all(f'"{code}"' in source for code in codes)
