"""`mailer setup`: the account that sends, its password in the keyring, and whether the server takes the login."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console, seed
from mailer.cli.account import Account, Given, account_of
from mailer.cli.asking import NO_ANSWER, Interview, ask, ask_secret, require_somebody, yes
from mailer.cli.options import JsonOption, refuse_tokens_behind_proxy, settings_here
from mailer.errors import MailerError, Paused, RelayStopped, SettingsError, UsageError

if TYPE_CHECKING:
    from mailer.model import Outcome, RelayFacts, Tokens
    from mailer.oauth import Client, Grant
    from mailer.preflight import Check
    from mailer.proxy import Proxy
    from mailer.settings import Settings
    from mailer.smtp import Relay

EXAMPLE = "mailer setup --address ana@example.org --provider gmail --password-file password.txt"
HEADING = "Written by mailer setup. What stands here goes before mailer.toml."
SECRET_FILE = "smtp-password.txt"  # noqa: S105  the name of a file
PATIENCE = 60.0
"""Seconds for the login test."""

NOTHING_CHANGED = "Nothing was changed."

OptionalText = str | None


def setup(
    *,
    address: Annotated[OptionalText, typer.Option("--address", metavar="ADDRESS", help="Your e-mail address.")] = None,
    provider: Annotated[
        OptionalText, typer.Option("--provider", metavar="NAME", help="Who keeps the mailbox, e.g. gmail.")
    ] = None,
    host: Annotated[
        OptionalText, typer.Option("--host", metavar="SERVER", help="The server for outgoing mail (SMTP).")
    ] = None,
    port: Annotated[OptionalText, typer.Option("--port", metavar="N", help="Its port.")] = None,
    security: Annotated[
        OptionalText, typer.Option("--security", metavar="HOW", help="starttls or tls; none on this computer.")
    ] = None,
    username: Annotated[
        OptionalText, typer.Option("--username", metavar="NAME", help="The user name there; by default the address.")
    ] = None,
    name: Annotated[
        OptionalText, typer.Option("--name", metavar="NAME", help="Your name, as readers of your letters see it.")
    ] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", metavar="FILE", help="A file with the password; it is kept there.")
    ] = None,
    auth: Annotated[
        OptionalText, typer.Option("--auth", metavar="HOW", help="password, or xoauth2 without one.")
    ] = None,
    client_id: Annotated[
        OptionalText, typer.Option("--client-id", metavar="ID", help="For xoauth2: the application's client id.")
    ] = None,
    client_secret: Annotated[
        OptionalText, typer.Option("--client-secret", metavar="SECRET", help="Its secret, for Google.")
    ] = None,
    seed_test: Annotated[
        bool,
        typer.Option("--seed-test", help="Mail one letter to yourself with the account set up, see how it arrives."),
    ] = False,
    to: Annotated[
        OptionalText, typer.Option("--to", metavar="ADDRESS", help="Where it goes, if not to the sender.")
    ] = None,
    confirmed: Annotated[bool, typer.Option("--yes", help="Mail it without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Set up the mail account that sends, and test its login.

    Asks for what it needs. The password goes into this computer's keyring, everything else into the file .env of this
    folder. Nothing is changed before the mail server has taken the login. With --address nothing is asked. Nobody is
    mailed but yourself, by --seed-test.

    \b
    Examples:
      mailer setup
      mailer setup --seed-test
      mailer setup --address ana@example.org --provider gmail --password-file password.txt
    """  # noqa: D301
    given = Given(
        address=address, provider=provider, host=host, port=port, security=security, username=username, name=name,
        auth=auth, client_id=client_id, client_secret=client_secret,
    )  # fmt: skip
    if seed_test or to is not None or confirmed:
        if not seed_test or given.says_something or password_file:
            raise UsageError(
                "--seed-test, --to and --yes go together, and with no option of the account.", hint=seed.EXAMPLE
            )
        seed.seed_test(settings_here(to_send=True), to=to, confirmed=confirmed, as_json=as_json)
        return
    interview = Interview(asks=address is None, example=EXAMPLE)
    if interview.asks:
        require_somebody(EXAMPLE)
    settings = settings_here()
    refuse_overruled(settings)
    account = account_of(interview, given, settings)
    secret, facts = signed_in(interview, account, settings, password_file)
    place = place_for(interview, account, settings, secret, password_file)
    keep(account, settings, secret, place)
    report(account, facts, place, as_json=as_json)
    if interview.asks and not as_json:
        seed.offer(settings_here(to_send=True))


# -- what stands in the way


def refuse_overruled(settings: Settings) -> None:
    """Raise SettingsError if something elsewhere would go before what is written to `.env` and the keyring."""
    written = ("host", "port", "security", "username", "auth", "password", "oauth_client_id", "oauth_client_secret")
    found = []
    for name in (*(f"smtp_{one}" for one in written), "sender"):
        origin = settings.origin(name)
        if origin and origin.place == "the environment":
            sentence = "it goes before what setup writes; take it out of the environment, or change it there yourself"
            found.append(origin.problem("overruled", sentence))
        elif origin and origin.place == "mailer.toml" and name == "smtp_password":
            found.append(origin.problem("overruled", "setup keeps the password elsewhere; take this line out"))
    if found:
        raise SettingsError(f"Something else decides about the account. {NOTHING_CHANGED}", problems=found)


# -- the login


def signed_in(
    interview: Interview, account: Account, settings: Settings, password_file: Path | None
) -> tuple[str, RelayFacts]:
    """The secret to keep, and what the server said once it took the login. Raises UsageError, RelayStopped, Paused."""
    from mailer.model import Action, Phase, RelayFacts, Scope  # noqa: PLC0415
    from mailer.settings import Auth  # noqa: PLC0415

    if account.login.auth is Auth.XOAUTH2:
        if password_file:
            raise UsageError("--password-file does not go with xoauth2, which has no password.", hint=EXAMPLE)
        return signed_in_without_password(account, settings)
    if password_file is None and not interview.asks:
        raise UsageError(f"--password-file is missing. {NOTHING_CHANGED}", hint=f"for example: {EXAMPLE}")
    while True:
        secret = password_in(password_file) if password_file else ask_secret("Password (nothing is shown as you type)")
        found = tested(relay_for(account, secret, settings.way))
        if isinstance(found, RelayFacts):
            return secret, found
        wrong = found.phase is Phase.AUTH and found.scope is Scope.AUTH and found.action is Action.STOP
        if not wrong or password_file:
            raise refusal(account, found)
        console.note(refusal(account, found).message, style="yellow")
        console.note(f"  The server's own words: {found.text}")
        console.note("  Type the password again; nothing but Enter ends this, and changes nothing.")


def password_in(path: Path) -> str:
    """The password in a file. Raises UsageError."""
    try:
        text = path.expanduser().read_text(encoding="utf-8-sig").removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not a text file"
        raise UsageError(
            f"The password file {path} cannot be read: {why}. {NOTHING_CHANGED}",
            hint="write the password, and nothing else, into a text file, and name it with --password-file",
        ) from error
    if not text or "\n" in text:
        raise UsageError(f"The password file is to hold one line, the password. {NOTHING_CHANGED}")
    return text


def relay_for(account: Account, secret: str, proxy: Proxy | None, tokens: Tokens | None = None) -> Relay:
    from mailer.smtp import Relay  # noqa: PLC0415 - imports aiosmtplib

    return Relay(
        host=account.host,
        port=account.port,
        security=account.security,
        username=account.username,
        password=secret,
        auth=account.login.auth.value,
        tokens=tokens,
        proxy=proxy,
    )


def tested(relay: Relay) -> RelayFacts | Outcome:
    """What the server says to the login. Raises Paused if it says nothing for long."""
    from mailer.smtp import survey  # noqa: PLC0415

    async def asked() -> RelayFacts | Outcome:
        async with asyncio.timeout(PATIENCE):
            return await survey(relay)

    console.note("Trying the login ...")
    try:
        return asyncio.run(asked())
    except TimeoutError:
        raise Paused(f"The mail server keeps silent. {NOTHING_CHANGED}", hint="run the same command later") from None


def refusal(account: Account, found: Outcome) -> MailerError:
    """The server's refusal as an error: what it means, and what to do at this provider."""
    from mailer.model import Action, Phase  # noqa: PLC0415
    from mailer.outcome import explain  # noqa: PLC0415

    ours = account.preset
    advice = f" With {ours.title}: {ours.login}." if ours and found.phase is Phase.AUTH else ""
    kind = RelayStopped if found.action in {Action.STOP, Action.PAUSE} else Paused
    if found.reply or found.phase is Phase.AUTH:
        return kind(f"{explain(found)}{advice} {NOTHING_CHANGED}", hint=f"what happened: {found.text}")
    words = f"{found.text[:1].upper()}{found.text[1:].rstrip('.')}"
    return kind(
        f"{words}{'' if words.endswith('?') else '.'} {NOTHING_CHANGED}", hint="mend it, and run the same command again"
    )


def signed_in_without_password(account: Account, settings: Settings) -> tuple[str, RelayFacts]:
    """Let a person sign in, and try the token that comes of it. Raises RelayStopped, Paused."""
    from mailer.model import RelayFacts  # noqa: PLC0415
    from mailer.oauth import Access, Client, service_of  # noqa: PLC0415

    refuse_tokens_behind_proxy(settings)
    login = account.login
    assert login.service is not None
    assert login.client_id is not None
    service = service_of(login.service, settings.smtp_oauth_authority)
    client = Client(service=service, id=login.client_id, secret=login.client_secret)
    grant = granted(client, account.username)
    if grant.refresh is None:
        raise RelayStopped(
            f"{service.title} gave no lasting sign-in (no refresh token). {NOTHING_CHANGED}",
            hint="look at the rights of the application that you registered, then run the same command again",
        )
    kept = [grant.refresh]
    found = tested(relay_for(account, "", None, Access(client, grant.refresh, keep=kept.append).token))
    if not isinstance(found, RelayFacts):
        raise refusal(account, found)
    return kept[-1], found


def granted(client: Client, username: str) -> Grant:
    """Say where to sign in, and wait for it."""
    from mailer.oauth import browser, device  # noqa: PLC0415

    if not client.service.device:
        console.note("Sign in with this page in a browser on this computer:\n")
        return browser.sign_in(client, username, open_page)
    code = device.begin(client)
    console.note(f"Open {code.page} in any browser, and type this code there: {code.code}")
    console.note("Waiting until you have signed in; Ctrl-C ends it, and changes nothing.")
    return device.finish(client, code)


def open_page(page: str) -> None:
    import webbrowser  # noqa: PLC0415 - seldom needed

    console.note(page)
    webbrowser.open(page)
    console.note("\nWaiting until you have signed in; Ctrl-C ends it, and changes nothing.")


# -- what is kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the secret is kept: in a file, or in the keyring if that is None. `made` is whether setup writes the file."""

    file: Path | None = None
    made: bool = False


def place_for(
    interview: Interview, account: Account, settings: Settings, secret: str, password_file: Path | None
) -> Place:
    """The keyring if there is one, else a file of which its owner knows. Raises UsageError."""
    from mailer.settings import passwords  # noqa: PLC0415

    if password_file:
        return Place(file=password_file)
    if passwords.keep(account.username, account.host, secret):
        return Place()
    console.note("This computer has no keyring that could keep the password.")
    if interview.asks and not ask(
        f"Keep it in the file {SECRET_FILE} here, which only you can read? yes or no", yes, "yes"
    ):
        raise UsageError(NO_ANSWER, hint=f"with a file of your own: {EXAMPLE}")
    ours = settings.origin("smtp_password")
    if Path(SECRET_FILE).exists() and not (ours and ours.spelling.upper().endswith("_FILE")):
        raise UsageError(f"There is a {SECRET_FILE} already. {NOTHING_CHANGED}", hint="rename it, then run it again")
    return Place(file=Path(SECRET_FILE), made=True)


def keep(account: Account, settings: Settings, secret: str, place: Place) -> None:
    """Write the settings, and the secret where it is to be. Raises SettingsError."""
    from mailer.settings import dotenv_file, passwords  # noqa: PLC0415

    values = values_of(account, settings)
    file = place.file.as_posix() if place.file else None
    values |= {"smtp_password": None, "smtp_password_file": file}
    if "imap_host" in values and values["imap_auth"] != "xoauth2":
        values |= {"imap_password": None, "imap_password_file": file}
        if not file:
            passwords.keep(account.username, str(values["imap_host"]), secret)
    if place.made:
        dotenv_file.write_private(Path(SECRET_FILE), f"{secret}\n")
    dotenv_file.change(Path(".env"), values, HEADING)


def values_of(account: Account, settings: Settings) -> dict[str, str | None]:
    """The settings to write, by their lower-case names; None takes one out."""
    from mailer.settings import Auth  # noqa: PLC0415

    login, preset = account.login, account.preset
    found: dict[str, str | None] = {
        "smtp_host": account.host,
        "smtp_port": str(account.port),
        "smtp_security": account.security.value,
        "smtp_username": account.username,
        "smtp_auth": login.auth.value,
        "smtp_oauth_client_id": login.client_id,
        "smtp_oauth_client_secret": login.client_secret,
    }
    if account.sender:
        name, address = account.sender.name, account.sender.address
        found["sender"] = f"{name} <{address}>" if name else address
    # Microsoft's mailboxes take no passwords at all any more
    readable = preset and (login.auth is Auth.XOAUTH2 or preset.oauth != "microsoft")
    before = settings.origin("imap_host")
    if preset and preset.imap and readable and (before is None or before.place == ".env"):
        imap = {"host": preset.imap, "username": account.username, "auth": login.auth.value}
        found |= {f"imap_{name}": value for name, value in imap.items()}
    return found


# -- what is said


def report(account: Account, facts: RelayFacts, place: Place, *, as_json: bool) -> None:
    """What was found and written, and what comes next."""
    checks = checks_of(account, facts)
    where = place.file.as_posix() if place.file else "keyring"
    if as_json:
        console.emit(
            {
                "host": account.host,
                "port": account.port,
                "security": account.security.value,
                "username": account.username,
                "auth": account.login.auth.value,
                "provider": account.preset.name if account.preset else None,
                "login": "ok",
                "password": where,
                "file": ".env",
                "checks": [
                    {"code": one.code, "level": one.level, "message": one.message, "fix": one.fix} for one in checks
                ],
            }
        )
        return
    console.say(f"{account.host} takes the login. Nobody was mailed.", style="green")
    kept = f"in the file {where}" if place.file else "in this computer's keyring"
    secret = "sign-in" if account.login.client_id else "password"
    console.say(f"The {secret} is kept {kept}, everything else is in .env.", sentence=True)
    for check in checks:
        console.say()
        console.say(check.message, sentence=True, style="yellow")
        console.say(check.fix, sentence=True)
    console.say("\nWhat else keeps mail from arriving: mailer doctor", sentence=True)


def checks_of(account: Account, facts: RelayFacts) -> list[Check]:
    """What to look at, of the provider's limits and the server's answers."""
    import time  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from mailer import preflight  # noqa: PLC0415
    from mailer.settings import load  # noqa: PLC0415

    settings = load()
    known = preflight.Account(
        host=settings.smtp_host or account.host,
        port=settings.smtp_port,
        sender_domains=(settings.sender.domain,) if settings.sender else (),
        auth=settings.smtp_auth.value,
        rate=settings.rate,
        rate_is_chosen=not settings.rate_is_default,
    )
    found = [
        *preflight.account.settings(known, datetime.now(UTC).date()),
        *preflight.account.relay(known, facts, now=time.time()),
    ]
    return [check for check in found if check.level is not preflight.Level.OK]
