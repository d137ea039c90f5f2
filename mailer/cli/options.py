"""Arguments and options that several commands share, so that they mean the same everywhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.unlocking import unlocking

if TYPE_CHECKING:
    from mailer.campaign.limits import Limits
    from mailer.campaign.source import Source
    from mailer.mime.dkim import Signer
    from mailer.model import Problem, Tokens
    from mailer.oauth import Client
    from mailer.settings import Settings
    from mailer.smtp import Relay

TemplateArgument = Annotated[
    str, typer.Argument(metavar="TEMPLATE", help="A letter: its name in templates/, or its path.", show_default=False)
]
ListArgument = Annotated[
    Path,
    typer.Argument(metavar="LIST", help="A contact list: csv, tsv, xlsx, xls, ods, json, parquet.", show_default=False),
]
CampaignArgument = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign's name.", show_default=False)]
EmailColumnOption = Annotated[
    str | None, typer.Option("--email-column", metavar="NAME", help="The column that holds the addresses.")
]
SheetOption = Annotated[str | None, typer.Option("--sheet", metavar="NAME", help="The sheet of a workbook to read.")]
ProblemsOption = Annotated[
    Path | None, typer.Option("--problems", metavar="FILE", help="Write the rows with problems to this file.")
]
SkipProblemsOption = Annotated[bool, typer.Option("--skip-problems", help="Go on without the rows that have problems.")]
CampaignOption = Annotated[
    str | None, typer.Option("--campaign", metavar="NAME", help="The campaign's name; by default TEMPLATE--LIST.")
]
RateOption = Annotated[
    list[str] | None, typer.Option("--rate", metavar="QUOTA", help='At most so many messages, e.g. "20/minute".')
]
BatchSizeOption = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", help="Messages over one connection (50).")
]
BatchPauseOption = Annotated[
    str | None, typer.Option("--batch-pause", metavar="DURATION", help="Rest after each batch, e.g. 30s.")
]
ConnectionsOption = Annotated[
    int | None, typer.Option("--connections", metavar="N", help="Connections at the same time (1).")
]
ProcessesOption = Annotated[
    int | None,
    typer.Option(
        "--processes", metavar="N", help="Processes: one sends, the others make messages (as many as are worth it)."
    ),
]
PipeliningOption = Annotated[
    str | None,
    typer.Option("--pipelining", metavar="auto|message|off", help="What is sent without waiting for answers (auto)."),
]
GiveUpOption = Annotated[
    str | None,
    typer.Option("--give-up-after", metavar="DURATION", help="How long to try somebody again, e.g. 2 days (4 days)."),
]
GoneOption = Annotated[
    int | None,
    typer.Option(
        "--gone", min=1, metavar="N", help="With --update: so many of the campaign may be missing from the list."
    ),
]
HoldAfterOption = Annotated[
    int | None,
    typer.Option("--hold-after", min=1, metavar="N", help="Hold once after the first N, to see how they fare."),
]
QueueOption = Annotated[
    str | None, typer.Option("--queue", metavar="NAME", help="Leave it to the workers of this queue (mailer).")
]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help='With --detach: not before, e.g. 18:30 or "2027-03-08 09:00".'),
]
HoursOption = Annotated[
    str | None,
    typer.Option(
        "--hours",
        metavar="HOURS",
        help='Send only within these hours of each reader\'s own day, e.g. "Mon-Fri 9:00-17:00".',
    ),
]
ZoneColumnOption = Annotated[
    str | None, typer.Option("--zone-column", metavar="NAME", help="The column that holds the time zones.")
]
RelayOption = Annotated[
    str | None,
    typer.Option("--relay", metavar="NAME", help="Over this account: main, or a [relays.NAME] of mailer.toml."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs.")]


def source_of(
    settings: Settings,
    template: str,
    contact_list: Path,
    *,
    campaign: str | None = None,
    email_column: str | None,
    sheet: str | None,
    zone_column: str | None = None,
) -> Source:
    """What the command line names, as the campaign steps take it."""
    from mailer.campaign.source import Source  # noqa: PLC0415 - imports pandas
    from mailer.campaign.timing import Timing  # noqa: PLC0415
    from mailer.errors import UsageError  # noqa: PLC0415

    if campaign is not None and not campaign.strip():
        # a script's variable that is not set must not send another campaign than was meant
        raise UsageError(
            "--campaign names no campaign.", hint="write the name behind it, or leave it out: it is TEMPLATE--LIST then"
        )
    return Source(
        timing=Timing(hours=settings.hours, zone=settings.time_zone, column=zone_column),
        template=template,
        list_path=contact_list,
        campaign=campaign,
        email_column=email_column,
        sheet=sheet,
        unlock=unlocking(settings),
    )


def settings_here(
    given: Mapping[str, str | None] | None = None, *, to_send: bool = False, to_look: bool = False
) -> Settings:
    """The settings of the working folder, with what the command line overrides. What is odd about them is said here.

    `to_send` for what reaches out to a mail server, `to_look` for what shows a letter with them.
    Raises SettingsError.
    """
    from mailer import settings as settings_module  # noqa: PLC0415 - imports pydantic

    settings = settings_module.load(overrides=given)
    refuse_other_folder(settings)
    # examples that were left in the settings show in a preview; a send refuses them; elsewhere they are no news
    left_out = set() if to_look else {"placeholder"}
    console.show_warnings([one for one in settings.warnings if one.code not in left_out])
    if to_send:
        from mailer.ledger import odd_places  # noqa: PLC0415

        console.show_warnings(odd_places(settings.ledger_place, Path()))
    return settings


def refuse_other_folder(settings: Settings) -> None:
    """Raise UsageError beside or inside a campaign's folder: a ledger made here would be another one, which no send asks."""
    from mailer.errors import UsageError, quoted  # noqa: PLC0415
    from mailer.model import Server  # noqa: PLC0415

    place = settings.ledger_place
    if settings.sender or isinstance(place, Server) or place.exists() or Path("mailer.toml").exists():
        return
    here = Path.cwd()
    steps = range(1, len(here.parents) + 1)
    around = (Path(*[os.pardir] * number) for number in steps if (here.parents[number - 1] / "mailer.toml").exists())
    if folder := next(around, None) or min((path.parent for path in Path().glob("*/mailer.toml")), default=None):
        raise UsageError(
            f"There is no mailer.toml here; is {folder} your campaign folder?",
            hint=f"go into it, then run the same command again: cd {quoted(folder)}",
        )


def relay_of(settings: Settings) -> Relay:
    """The relay that the settings describe, to send through. Raises SettingsError for what is missing."""
    settings.require_sending()
    return described_relay(settings)


def described_relay(settings: Settings) -> Relay:
    """The relay that the settings describe, whatever else is missing for sending."""
    from mailer.smtp import Relay  # noqa: PLC0415 - imports aiosmtplib

    assert settings.smtp_host is not None
    return Relay(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=settings.password,
        auth=settings.smtp_auth.value,
        tokens=tokens_of(settings) if settings.sends_with_tokens else None,
        timeout=settings.smtp_timeout,
        # RFC 5321, 4.5.3.2.6: twice as long for the answer to the final dot as for any other
        final_timeout=2 * settings.smtp_timeout,
        pipelining=settings.pipelining,
        proxy=settings.way,
        name=settings.relay,
    )


def tokens_of(settings: Settings) -> Tokens:
    """What gives access tokens for the account: the password that is kept for it is then a refresh token."""
    from mailer.oauth import Access  # noqa: PLC0415 - imports http

    return Access(client_of(settings), settings.password or "", keep=settings.keep_token).token


def client_of(settings: Settings) -> Client:
    """The application in whose name the account signs in. Raises SettingsError for what is missing."""
    from mailer import preflight  # noqa: PLC0415 - imports dns
    from mailer.account.login import refuse_tokens_behind_proxy  # noqa: PLC0415
    from mailer.errors import SettingsError  # noqa: PLC0415
    from mailer.oauth import Client, service_of  # noqa: PLC0415

    refuse_tokens_behind_proxy(settings)
    preset = preflight.presets.for_host(settings.smtp_host or "")
    service = settings.smtp_oauth_service or (preset.oauth if preset else None)
    if settings.smtp_oauth_client_id is None or service is None:
        raise SettingsError(
            "MAILER_SMTP_OAUTH_SERVICE is not set: whose sign-in this mail server takes is not known to mailer.",
            hint="write google or microsoft: MAILER_SMTP_OAUTH_SERVICE=microsoft",
        )
    return Client(
        service=service_of(service, settings.smtp_oauth_authority),
        id=settings.smtp_oauth_client_id,
        secret=settings.smtp_oauth_client_secret,
    )


def signer_of(settings: Settings) -> Signer | None:
    """What signs the messages, if the settings say so; what is odd about its keys is said here. Raises SettingsError."""
    console.show_warnings(settings.signing.warnings)
    return settings.signing.signer


def odd_about_keys(settings: Settings) -> list[Problem]:
    """What is odd about the keys of all accounts, each thing once. Raises SettingsError."""
    return list(dict.fromkeys(chain.from_iterable(one.signing.warnings for one in settings.accounts.values())))


def account_of(settings: Settings, relay: str | None, *, alone: bool) -> Settings:
    """The settings of the account to send over. Raises SettingsError for what is missing, before anything is read."""
    account = settings.over(relay)
    relay_of(account)
    signer_of(account)
    if alone:
        say_which(settings, account)
    return account


def say_which(settings: Settings, account: Settings) -> None:
    """Over which of several accounts a run goes, which uses one only."""
    if others := [name for name in settings.accounts if name != account.relay]:
        console.note(
            f"Sending over relay {account.relay} ({account.smtp_host}) alone. Over another: --relay {others[0]};"
            " over all of them at once: --detach, and workers (mailer worker)"
        )


def limits_of(settings: Settings) -> Limits:
    """The quotas that the settings set."""
    from mailer.campaign.limits import Limits  # noqa: PLC0415

    return Limits(account=settings.rate, domains=settings.domain_rate)


def overrides(**given: object) -> dict[str, str | None]:
    """Settings from the command line as texts; what was not given stays as it is set elsewhere."""
    return {name: None if value is None else str(value) for name, value in given.items()}


def named(**given: object) -> dict[str, object]:
    """Options as they are typed, with what was given for them."""
    return {f"--{name.replace('_', '-')}": value for name, value in given.items()}


def joined(rates: list[str] | None) -> str | None:
    """Several --rate as the one setting that they are."""
    return ", ".join(rates) if rates else None
