"""What has to be known of an account: its server, user name, way to sign in, and the sender."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from mailer.errors import UsageError
from mailer.loopback import is_loopback
from mailer.model import said

if TYPE_CHECKING:
    from mailer.model import Mailbox, Security, SignIn
    from mailer.preflight.presets import Preset
    from mailer.settings import Auth, Settings

Kind = TypeVar("Kind")

NO_LOGIN = "none"
"""What is said for the user name at a server that asks for no login."""


class Interview(Protocol):
    """Where answers come from: a person at a terminal, options of the command, or a form on the page."""

    @property
    def asks(self) -> bool:
        """Whether a person is there to be asked, one question at a time."""

    def answer(
        self, option: str, given: str | None, question: str, check: Callable[[str], Kind], usual: str = ""
    ) -> Kind:
        """`check` makes the answer of the text, or raises ValueError with a sentence. Raises UsageError for no answer."""

    def note(self, text: str) -> None:
        """Say something by the way."""

    def unasked(self) -> Interview:
        """The same, but what is not given is taken as usual."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What was said of the account; None is not said."""

    address: str | None = None
    provider: str | None = None
    host: str | None = None
    port: str | None = None
    security: str | None = None
    username: str | None = None
    name: str | None = None
    auth: str | None = None
    client_id: str | None = None
    client_secret: str | None = None

    @property
    def says_something(self) -> bool:
        return any(getattr(self, name) is not None for name in self.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """How the account signs in; without a password also with whom, and in the name of which application."""

    auth: Auth
    service: SignIn | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The account as it was answered. `sender` is None where the settings have one that stays, `username` where the server asks for no login."""

    host: str
    port: int
    security: Security
    username: str | None
    login: Login
    sender: Mailbox | None
    preset: Preset | None


def account_of(interview: Interview, given: Given, settings: Settings) -> Account:
    """Ask for all of it. Raises UsageError."""
    from mailer.preflight import presets  # noqa: PLC0415
    from mailer.settings import values  # noqa: PLC0415

    usual = settings.sender.address if settings.sender and not is_example(settings) else ""
    address = interview.answer("--address", given.address, "Your e-mail address", values.address, usual)
    host = host_of(interview, given, settings, address)
    preset = presets.for_host(host) or chosen(given)
    port, security = entrance(interview, given, settings, host, preset)
    own_name = presets.Password.SMTP
    username = interview.answer(
        "--username",
        given.username,
        "User name at the mail server" if preset else f"User name at the mail server, or {NO_LOGIN} for no login",
        user_name,
        usual_username(settings, host, "" if preset and preset.password is own_name else address),
    )
    sender = sender_of(interview, given, settings, address)
    login = login_of(interview, given, settings, preset) if username else without_login(given, settings)
    return Account(
        host=host, port=port, security=security, username=username, login=login, sender=sender, preset=preset
    )


def user_name(text: str) -> str | None:
    """None where the server asks for no login."""
    return None if text.strip().lower() == NO_LOGIN else filled(text)


def without_login(given: Given, settings: Settings) -> Login:
    """Raises UsageError where something is said of a login all the same."""
    from mailer.settings import Auth  # noqa: PLC0415

    if getattr(settings.origin("smtp_username"), "place", "") == "mailer.toml":
        raise UsageError(
            "A user name stands in mailer.toml, as smtp_username. Nothing was changed.",
            hint="take that line out, then set the account up again",
        )

    if given.auth not in {None, Auth.PASSWORD.value} or given.client_id is not None:
        raise UsageError(
            "Without a user name there is no login. Nothing was changed.",
            hint="give the user name, or leave out --auth and --client-id",
        )
    return Login(auth=Auth.PASSWORD)


def filled(text: str) -> str:
    """One line, and not an empty one."""
    from mailer.settings import values  # noqa: PLC0415

    if not text.strip():
        raise ValueError("it is empty")
    return values.line(text)


def is_example(settings: Settings) -> bool:
    """Whether the sender is still that of the starter."""
    return any(problem.code == "placeholder" and "sender" in problem.message for problem in settings.placeholders())


def usual_username(settings: Settings, host: str, otherwise: str) -> str:
    return (settings.smtp_username if settings.smtp_host == host else None) or otherwise


def chosen(given: Given) -> Preset | None:
    from mailer.preflight import presets  # noqa: PLC0415

    return None if given.provider is None else called(given.provider, presets.all())


def called(text: str, presets: Iterable[Preset]) -> Preset | None:
    """The provider of this name, or of the one that people see; capitals and spaces do not count."""

    def plain(name: str) -> str:
        return re.sub(r"[\W_]", "", name).casefold()

    return next((one for one in presets if plain(text) in {plain(one.name), plain(one.title)}), None)


def host_of(interview: Interview, given: Given, settings: Settings, address: str) -> str:
    """The server: as it is said, of the provider that is said, of the address's domain, or chosen from the list."""
    from mailer.preflight import presets  # noqa: PLC0415
    from mailer.settings import values  # noqa: PLC0415

    ours = chosen(given)
    if given.host is not None and ours and ours.host and ours.host != given.host:
        raise UsageError(
            said(
                "--host {host} is not the server of {provider}, which is {server}. Nothing was changed.",
                host=given.host,
                provider=ours.title,
                server=ours.host,
            ),
            hint="leave out --host, or --provider",
        )
    if given.host is not None:
        return interview.answer("--host", given.host, "", values.host)
    domain = address.rpartition("@")[2]
    if given.provider is not None:
        preset = chosen(given)
        if preset is None:
            names = ", ".join(one.name for one in presets.all())
            raise UsageError(
                said("There is no provider {provider!r} here. Nothing was changed.", provider=given.provider),
                hint=said("one of: {names}", names=names),
            )
        return host_at(interview, preset, domain)
    if host := presets.host_for(domain):
        preset = presets.for_host(host)
        interview.note(
            said(
                "{domain}: mail goes out through {provider}, {host}.",
                domain=domain,
                provider=(preset.title if preset else said("its server")),
                host=host,
            )
        )
        return host
    if not interview.asks:
        raise UsageError(
            said("Which provider has the mail of {domain} is not known. Nothing was changed.", domain=domain),
            hint="add --provider NAME or --host SERVER; to be asked instead: mailer setup",
        )
    return picked(interview, settings, domain)


def picked(interview: Interview, settings: Settings, domain: str) -> str:
    """The server of a provider chosen by its number, or as it is typed."""
    from mailer.preflight import presets  # noqa: PLC0415
    from mailer.settings import values  # noqa: PLC0415

    known = presets.all()
    interview.note("Who keeps this mailbox?")
    for number, preset in enumerate(known, 1):
        interview.note(f"  {number:>2}  {preset.title}")

    def check(text: str) -> Preset | str:
        if text.isascii() and text.isdigit():
            if not 1 <= int(text[:9]) <= len(known):
                raise ValueError(said("the numbers go from 1 to {count}", count=len(known)))
            return known[int(text) - 1]
        if named := called(text, known):
            return named
        if "." not in text and not is_loopback(text):
            raise ValueError("write a number, or the name of a server, such as smtp.example.org")
        return values.host(text)

    own = settings.smtp_host if settings.smtp_host and not settings.placeholders() else ""
    question = "Its number, or the name of another server for outgoing mail (SMTP)"
    found = interview.answer("--host", None, question, check, own)
    return found if isinstance(found, str) else host_at(interview, found, domain)


def host_at(interview: Interview, preset: Preset, domain: str) -> str:
    """The server of this provider; asked where it has more than one."""
    from mailer.settings import values  # noqa: PLC0415

    if preset.host:
        return preset.host
    if interview.asks:
        interview.note(f"{preset.title}: {preset.login}.")
    usual = f"mail.{domain}" if not preset.hosts else ""
    return interview.answer("--host", None, "The name of its server for outgoing mail (SMTP)", values.host, usual)


def entrance(
    interview: Interview, given: Given, settings: Settings, host: str, preset: Preset | None
) -> tuple[int, Security]:
    """Port and encryption; of a known provider they are not asked."""
    from mailer.model import Security  # noqa: PLC0415
    from mailer.settings import values  # noqa: PLC0415

    local = is_loopback(host)
    kept = settings.smtp_host == host
    usual = str(preset.port if preset else settings.smtp_port if kept else 25 if local else 587)
    asking = interview if preset is None else interview.unasked()
    port = asking.answer("--port", given.port, "Port", values.whole(1, 65535), usual)
    by_port = Security.TLS if port == 465 else Security.NONE if local else Security.STARTTLS
    if preset and port == preset.port:
        by_port = preset.security
    security = asking.answer(
        "--security",
        given.security,
        "Encryption: starttls or tls" + (", or none" if local else ""),
        values.choice(Security),
        by_port.value,
    )
    if security is Security.NONE and not local:
        raise UsageError(
            "Without encryption everyone on the way could read the password. Nothing was changed.",
            hint="use starttls (port 587) or tls (port 465)",
        )
    return port, security


def sender_of(interview: Interview, given: Given, settings: Settings, address: str) -> Mailbox | None:
    """Who letters are from, unless the settings say it: an earlier setup said it of the account that it set up."""
    from mailer.model import Mailbox  # noqa: PLC0415
    from mailer.settings import values  # noqa: PLC0415

    before = None if is_example(settings) else settings.sender
    by_hand = before and getattr(settings.origin("sender"), "place", "") != ".env"
    if given.name is None and before and (by_hand or before.address == address):
        return None
    usual = before.name if before else ""

    def check(name: str) -> Mailbox:
        if not name:
            return Mailbox(address=address)
        if "<" in name or ">" in name:
            raise ValueError("a name has no < and >")
        return values.mailbox(f"{name} <{address}>")

    if given.name is None and not interview.asks:
        return check(usual)
    return interview.answer("--name", given.name, "Your name, or your organisation's, as readers see it", check, usual)


def login_of(interview: Interview, given: Given, settings: Settings, preset: Preset | None) -> Login:
    """With a password, or without one, where the provider has a way."""
    from mailer.preflight.presets import Password  # noqa: PLC0415
    from mailer.settings import Auth, values  # noqa: PLC0415

    service = settings.smtp_oauth_service or (preset.oauth if preset else None)
    only_tokens = preset is not None and preset.password is Password.NONE
    usual = Auth.XOAUTH2 if only_tokens else Auth.PASSWORD
    if preset and interview.asks:
        interview.note(f"{preset.title}: {preset.login}." + (f" {preset.note}" if preset.passwords_end else ""))
    asking = interview if service and not only_tokens else interview.unasked()
    question = "Sign in with a password, or with xoauth2 (in a browser; needs a client id)"
    auth = asking.answer("--auth", given.auth, question, values.choice(Auth), usual.value)
    if auth is Auth.PASSWORD:
        return Login(auth=auth)
    if service is None:
        raise UsageError(
            "Whose sign-in this mail server takes is not known. Nothing was changed.",
            hint="set MAILER_SMTP_OAUTH_SERVICE to google or microsoft, or sign in with a password",
        )
    client_id = interview.answer(
        "--client-id",
        given.client_id,
        "Client id of the application that you registered (the README says how)",
        filled,
        settings.smtp_oauth_client_id or "",
    )
    secret = given.client_secret or settings.smtp_oauth_client_secret
    if service == "google":
        secret = interview.answer("--client-secret", given.client_secret, "Its client secret", filled, secret or "")
    return Login(auth=auth, service=service, client_id=client_id, client_secret=secret)
