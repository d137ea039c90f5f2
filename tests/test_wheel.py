"""What `pip install .` installs: the wheel holds everything that the program reads of its own."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mailer.cli import demo
from mailer.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
DATA = {".css", ".csv", ".html", ".js", ".md", ".service", ".sql", ".toml", ".txt", ".typed", ".yaml"}

# -I: neither the working folder nor PYTHONPATH, and without the tree that is installed for the tests.
ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from mailer.cli.demo import samples_folder
print(samples_folder())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    target = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(target / "unpacked")
    return target / "unpacked"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["templates", "contacts"])
def test_the_samples_are_in_the_wheel(wheel: Path, name: str) -> None:
    assert files(wheel / "mailer" / "samples" / name) == files(ROOT / name) != {}


def test_everything_beside_the_modules_is_in_the_wheel(wheel: Path) -> None:
    own = {name for name in files(ROOT / "mailer") if Path(name).suffix in DATA}
    assert own >= {
        "ledger/schema.sql",
        "merge/layout.html",
        "merge/footer.yaml",
        "markup/base.css",
        "preview/browse.js",
        "web/mailbox.js",
        "report/report.html",
        "cli/starter/mailer.toml",
        "cluster/operating/mailer-worker@.service",
        "cluster/operating/compose.yaml",
        "cluster/operating/operating.md",
        "cli/starter/gitignore.txt",
        "cli/starter/contacts/my-list.csv",
        "cli/starter/templates/my-letter.md",
    }
    assert own <= set(files(wheel / "mailer"))


def test_the_demo_finds_its_samples_in_the_wheel(wheel: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", ASK, str(wheel)], capture_output=True, text=True, timeout=60, cwd=wheel.parent
    )
    assert done.stdout.strip() == str(wheel / "mailer" / "samples"), done.stderr


@pytest.mark.thorough
def test_a_program_without_its_samples_says_so(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    with pytest.raises(UsageError, match="sample campaign is missing"):
        demo.samples_folder(tmp_path / "mailer")
