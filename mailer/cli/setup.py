"""`mailer setup`: the account that sends, its password in the keyring, and whether the server takes the login."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailer import account as steps
from mailer.account import NO_ANSWER, NOTHING_CHANGED, Account, Given, Place
from mailer.cli import console, seed
from mailer.cli.asking import Interview, ask, ask_secret, require_somebody, yes
from mailer.cli.options import JsonOption, settings_here
from mailer.errors import UsageError

if TYPE_CHECKING:
    from mailer.model import RelayFacts
    from mailer.settings import Settings

EXAMPLE = "mailer setup --address ana@example.org --provider gmail --password-file password.txt"
TRYING = "Trying the login ..."

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
        OptionalText,
        typer.Option("--username", metavar="NAME", help="The user name there; by default the address. none: no login."),
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
    relay: Annotated[
        OptionalText, typer.Option("--relay", metavar="NAME", help="Set up one more account, of this name.")
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
      mailer setup --relay office
      mailer setup --seed-test
      mailer setup --address ana@example.org --provider gmail --password-file password.txt
    """  # noqa: D301
    given = Given(
        address=address, provider=provider, host=host, port=port, security=security, username=username, name=name,
        auth=auth, client_id=client_id, client_secret=client_secret,
    )  # fmt: skip
    if seed_test or to is not None or confirmed:
        if not seed_test or given.says_something or password_file or relay:
            raise UsageError(
                "--seed-test, --to and --yes go together, and with no option of the account.", hint=seed.EXAMPLE
            )
        seed.seed_test(settings_here(to_send=True), to=to, confirmed=confirmed, as_json=as_json)
        return
    interview = Interview(asks=address is None, example=EXAMPLE)
    if interview.asks:
        require_somebody(EXAMPLE)
    settings = settings_of(relay)
    steps.refuse_overruled(settings)
    account = steps.account_of(interview, given, settings)
    secret, facts = signed_in(interview, account, settings, password_file)
    place = place_for(interview, account, settings, secret, password_file)
    steps.keep(account, settings, secret, place, Path())
    report(account, facts, place, settings_of(relay), as_json=as_json)
    if interview.asks and not as_json and relay is None:
        seed.offer(settings_here(to_send=True))


def settings_of(relay: str | None) -> Settings:
    """The settings of the account that is to be set up, as far as there are any. Raises SettingsError."""
    from mailer.settings import draft  # noqa: PLC0415 - imports pydantic

    return draft(settings_here(), relay) if relay else settings_here()


# -- the login


def signed_in(
    interview: Interview, account: Account, settings: Settings, password_file: Path | None
) -> tuple[str, RelayFacts]:
    """The secret to keep, and what the server said once it took the login. Raises UsageError, RelayStopped, Paused."""
    from mailer.model import RelayFacts  # noqa: PLC0415
    from mailer.settings import Auth  # noqa: PLC0415

    if account.login.auth is Auth.XOAUTH2:
        if password_file:
            raise UsageError("--password-file does not go with xoauth2, which has no password.", hint=EXAMPLE)
        secret, found = steps.sign_in(account, settings, AtTheTerminal())
        if not isinstance(found, RelayFacts):
            raise steps.refusal(account, found)
        return secret, found
    if account.username is None:
        return "", answer_of(account, settings, password_file)
    if password_file is None and not interview.asks:
        raise UsageError(f"--password-file is missing. {NOTHING_CHANGED}", hint=f"for example: {EXAMPLE}")
    while True:
        secret = password_in(password_file) if password_file else ask_secret("Password (nothing is shown as you type)")
        console.note(TRYING)
        found = steps.tested(steps.relay_for(account, secret, settings.way))
        if isinstance(found, RelayFacts):
            return secret, found
        if password_file or not steps.is_wrong_secret(found):
            raise steps.refusal(account, found)
        console.note(steps.refusal(account, found).message, style="yellow")
        console.note(f"  The server's own words: {found.text}")
        console.note("  Type the password again; nothing but Enter ends this, and changes nothing.")


def answer_of(account: Account, settings: Settings, password_file: Path | None) -> RelayFacts:
    """What a server says that asks for no login. Raises UsageError, RelayStopped, Paused."""
    from mailer.model import RelayFacts  # noqa: PLC0415

    if password_file:
        raise UsageError(
            f"Without a user name there is no password. {NOTHING_CHANGED}", hint="leave out --password-file"
        )
    console.note(f"Asking {account.host} ...")
    found = steps.tested(steps.relay_for(account, "", settings.way))
    if not isinstance(found, RelayFacts):
        raise steps.refusal(account, found)
    return found


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


class AtTheTerminal:
    """Says where to sign in."""

    def code(self, page: str, code: str) -> None:
        console.note(f"Open {page} in any browser, and type this code there: {code}")
        self._wait()

    def page(self, page: str) -> None:
        import webbrowser  # noqa: PLC0415 - seldom needed

        console.note("Sign in with this page in a browser on this computer:\n")
        console.note(page)
        webbrowser.open(page)
        console.note()
        self._wait()

    def trying(self) -> None:
        console.note(TRYING)

    @staticmethod
    def _wait() -> None:
        console.note("Waiting until you have signed in; Ctrl-C ends it, and changes nothing.")


# -- what is kept


def place_for(
    interview: Interview, account: Account, settings: Settings, secret: str, password_file: Path | None
) -> Place:
    """The keyring if there is one, else a file of which its owner knows. Raises UsageError."""
    if password_file:
        return Place(file=password_file)
    if steps.keep_in_keyring(account, secret):
        return Place()
    console.note(steps.NO_KEYRING)
    if interview.asks and not ask(f"{steps.file_question(settings)} yes or no", yes, "yes"):
        raise UsageError(NO_ANSWER, hint=f"with a file of your own: {EXAMPLE}")
    return steps.new_file(settings, Path())


# -- what is said


def report(account: Account, facts: RelayFacts, place: Place, settings: Settings, *, as_json: bool) -> None:
    """What was found and written, and what comes next; `settings` as they are now."""
    checks = steps.checks_of(account, facts, settings)
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
                "login": "ok" if account.username else None,
                "password": where if account.username else None,
                "file": ".env",
                "checks": [
                    {"code": one.code, "level": one.level, "message": one.message, "fix": one.fix} for one in checks
                ],
            }
        )
        return
    if account.username is None:
        console.say(f"{account.host} answers, and no login is used there. Nobody was mailed.", style="green")
        console.say("Everything is in .env. Whether it takes mail from this computer: mailer setup --seed-test")
    else:
        say_where_kept(account, place, where)
    for check in checks:
        console.say()
        console.say(check.message, sentence=True, style="yellow")
        console.say(check.fix, sentence=True)
    console.say("\nWhat else keeps mail from arriving: mailer doctor", sentence=True)


def say_where_kept(account: Account, place: Place, where: str) -> None:
    console.say(f"{account.host} takes the login. Nobody was mailed.", style="green")
    kept = f"in the file {where}" if place.file else "in this computer's keyring"
    secret = "sign-in" if account.login.client_id else "password"
    console.say(f"The {secret} is kept {kept}, everything else is in .env.", sentence=True)
