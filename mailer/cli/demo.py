"""`mailer demo`: the sample campaign from end to end, with nothing but this computer."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailer.cli import console
from mailer.cli.options import JsonOption
from mailer.errors import MailerError, UsageError, quoted

if TYPE_CHECKING:
    from mailer.cli.progress import ProgressLine

MARK = ".made-by-mailer-demo"
INTERRUPT_AFTER = 6
RATE = "50/second"
PROGRAM = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One of the two sample campaigns. `interrupted`: Ctrl-C is pressed in the middle of it."""

    template: str
    contact_list: str
    interrupted: bool = False

    @property
    def name(self) -> str:
        return f"{self.template}--{Path(self.contact_list).stem}"


SAMPLES = (
    Sample(template="solidarity-appeal", contact_list="contacts/branches.csv", interrupted=True),
    Sample(template="embassy-letter", contact_list="contacts/supporters.csv"),
)


def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder for it all.")] = Path("demo"),
    *,
    as_json: JsonOption = False,
) -> None:
    """Run the sample campaign from end to end on this computer.

    Check, preview, send, interrupt, continue, report: with invented people, the built-in mailbox and a ledger that is
    thrown away the next time. Nothing leaves this computer.

    \b
    Example:
      mailer demo
    """  # noqa: D301
    from mailer.mailbox import CaptureServer  # noqa: PLC0415

    prepare(folder)
    said = console.note if as_json else console.say
    with CaptureServer((folder / "mailbox").resolve()) as server, inside(folder, server.port):
        results = [play(sample, said) for sample in SAMPLES]
    arrived = count_mail(folder / "mailbox")
    most = max(arrived.values(), default=0)
    wanted = sum(result["sent"] for result in results)
    kept = len(arrived) == wanted and most == 1
    if as_json:
        previews = [str(folder / f"preview-{sample.template}" / "index.html") for sample in SAMPLES]
        console.emit({"campaigns": results, "people": len(arrived), "most": most, "kept": kept, "previews": previews})
    else:
        closing(folder, len(arrived), most)
    if not kept:
        raise MailerError(f"The demo failed: {wanted} messages for {len(arrived)} people, at most {most} for one.")


def prepare(folder: Path) -> None:
    """An empty folder with the samples. Raises UsageError rather than delete what the demo did not make."""
    samples = samples_folder()
    if folder.exists():
        if not (folder / MARK).exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(
                f"There is already something else at {folder}. Nothing was changed.",
                hint="choose another folder: mailer demo OTHER-FOLDER",
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).write_text("mailer demo may delete this folder.\n", encoding="utf-8", newline="\n")
    for name in ("templates", "contacts"):
        shutil.copytree(samples / name, folder / name)


def samples_folder(program: Path = PROGRAM) -> Path:
    """The samples: packed inside the program, or in the source tree that it runs from. Raises UsageError without them."""
    for folder in (program / "samples", program.parent):
        if all((folder / "contacts" / Path(sample.contact_list).name).is_file() for sample in SAMPLES):
            return folder
    raise UsageError(
        "The sample campaign is missing from this installation of mailer. Nothing was changed.",
        hint="install mailer again; a campaign of your own works without it: mailer new my-campaign",
    )


@contextlib.contextmanager
def inside(folder: Path, port: int) -> Iterator[None]:
    """Work in the folder with the demo's own settings, whatever is set on this computer."""
    settings = {
        "MAILER_SMTP_HOST": "127.0.0.1",
        "MAILER_SMTP_PORT": str(port),
        "MAILER_SENDER": "Solidarity Campaign <campaign@solidarity.example>",
        "MAILER_REPLY_TO": "office@solidarity.example",
        "MAILER_POSTAL_ADDRESS": "Solidarity Campaign, 1 Example Street, Exampletown",
        "MAILER_UNSUBSCRIBE_MAILTO": "unsubscribe@solidarity.example",
        "MAILER_LIST_ID": "appeals.solidarity.example",
        "MAILER_RATE": RATE,
    }
    before, directory = dict(os.environ), Path.cwd()
    for name in [name for name in os.environ if name.upper().startswith("MAILER_")]:
        del os.environ[name]
    os.environ.update(settings)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(before)


def play(sample: Sample, said: Any) -> dict[str, Any]:
    """One sample through all steps, each under the command that does it."""
    from mailer import contacts, report  # noqa: PLC0415
    from mailer import settings as settings_module  # noqa: PLC0415
    from mailer.campaign.plan import make_plan  # noqa: PLC0415
    from mailer.campaign.preview import write_preview  # noqa: PLC0415
    from mailer.campaign.report import make_report  # noqa: PLC0415
    from mailer.campaign.source import Source  # noqa: PLC0415
    from mailer.ledger import Ledger  # noqa: PLC0415

    settings = settings_module.load()
    source = Source(template=sample.template, list_path=Path(sample.contact_list))

    def step(command: str) -> None:
        said(f"\n$ mailer {command}", style="bold")

    step(f"check {sample.contact_list}")
    people = contacts.read(source.list_path)
    said(
        f"{people.rows} rows: {len(people)} ready, {people.duplicates} duplicates, {len(people.bad_rows)} with problems"
    )

    out = Path(f"preview-{sample.template}")
    step(f"preview {sample.template} {sample.contact_list} --out {out}")
    with Ledger(settings.ledger_place) as ledger:
        plan = make_plan(source, settings.identity(), ledger.secret)
        _, count = write_preview(plan, ledger, out)
        said(f"PREVIEW, nothing sent: {count} messages")
        said(f"Seal: {plan.seal}")
        command = f"send {sample.template} {sample.contact_list} --rate {RATE} --seal {plan.seal}"
        if sample.interrupted:
            step(command)
            tally = send(settings, ledger, source, plan.seal, interrupted=True)
            said(f"Ctrl-C was pressed: {tally['sent']} sent, {tally['queued']} not tried yet. Nobody is lost.")
        step(command)
        result = send(settings, ledger, source, plan.seal)
        said(f"{result['sent']} sent, {result['failed']} failed, {result['queued']} left")

        step(f"report {sample.name} --html report-{sample.template}.html")
        campaign = ledger.find(sample.name)
        page = Path(f"report-{sample.template}.html")
        report.write_html(page, make_report(ledger, campaign))
        said(f"Saved: {page}")
    return {"campaign": sample.name, "seal": plan.seal, **result}


class Interrupting:
    """Passes on what a run tells, and stops it after some messages as Ctrl-C would."""

    def __init__(self, line: ProgressLine, stop: Callable[[], None]) -> None:
        self._line = line
        self._stop = stop
        self._left = INTERRUPT_AFTER

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)

    def recorded(self, *event: Any) -> None:
        self._line.recorded(*event)
        self._left -= 1
        if self._left == 0:
            self._stop()


def send(settings: Any, ledger: Any, source: Any, seal: str, *, interrupted: bool = False) -> dict[str, int]:
    """What `mailer send --yes` does; `interrupted` presses Ctrl-C in the middle."""
    from mailer.campaign.send import prepare as prepare_campaign  # noqa: PLC0415
    from mailer.cli.send import Sending  # noqa: PLC0415
    from mailer.cli.standing import counts  # noqa: PLC0415
    from mailer.ledger import SenderLock  # noqa: PLC0415

    with SenderLock(ledger, source.name):
        prepared = prepare_campaign(source, settings.identity(), ledger, seal=seal)
        sending = Sending(settings, ledger, prepared)
        if interrupted:
            sending = Sending(settings, ledger, prepared, watched=Interrupting)
        result = sending.go(confirmed=True)
    return counts(result.tally)


def count_mail(folder: Path) -> Counter[str]:
    """Messages per address in the mailbox."""
    from mailer.mailbox import read_captured  # noqa: PLC0415

    return Counter(address for message in read_captured(folder) for address in message.recipients)


def closing(folder: Path, people: int, most: int) -> None:
    """The promise, kept; and where to look."""
    once = "exactly once" if most == 1 else f"up to {most} times"
    console.say(
        f"\n{people} people were mailed, each {once}, although the first send was interrupted.",
        style="bold",
        sentence=True,
    )
    console.say("\nLook at what was sent, in a browser:")
    for sample in SAMPLES:
        console.say(f"  preview   {folder / f'preview-{sample.template}' / 'index.html'}")
    for sample in SAMPLES:
        console.say(f"  report    {folder / f'report-{sample.template}.html'}")
    mail = folder / "mailbox"
    console.say(f"  mail      {mail} (one .eml file each), or on a page:")
    console.say(f"            mailer mailbox --folder {quoted(mail)} --open")
    console.say("\nYour own campaign: mailer new my-campaign")
