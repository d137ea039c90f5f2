"""The settings as a frozen value. Names are those of DESIGN section 7 in lower case, without the prefix MAILER_."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Annotated

from pydantic import PlainValidator, PrivateAttr, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from mailer.errors import SettingsError
from mailer.hours import Hours
from mailer.loopback import is_loopback
from mailer.model import (
    MAIN_RELAY,
    Identity,
    LedgerPlace,
    Pipelining,
    Problem,
    Quota,
    Security,
    Server,
    Severity,
    SignIn,
    said,
)
from mailer.proxy import Proxy
from mailer.reaction import STOP_LEAST, STOP_PERCENT
from mailer.settings import passwords, relays, signing, values, watching
from mailer.settings.dotenv_file import write_private
from mailer.settings.fields import (
    Flag,
    Host,
    LayerSource,
    Line,
    MailboxText,
    Port,
    Protection,
    Secret,
    Selector,
    example,
    names,
)
from mailer.settings.signing import Signing
from mailer.settings.values import Auth
from mailer.settings.watching import LogForm
from mailer.settings.written import Written

DEFAULT_RATE = "20/minute, 500/hour, 2000/day"
"""Below what ordinary providers allow a small account, so that nobody is locked out by a first campaign."""

PLACEHOLDERS = {
    "sender": said("this is still the example; write your own name and address"),
    "smtp_host": said("this is still the example; write the server that your provider names for outgoing mail (SMTP)"),
    "unsubscribe_mailto": said("this is still the example; write an address that you read, or take the line out"),
}
"""What `mailer new` writes, and what to do about it: nobody reads mail at example.org (RFC 2606)."""

UNENCRYPTED = "smtp_allow_unencrypted_i_understand_the_risk"


class Settings(Written):
    """All settings, with their defaults. Make one with `load`.

    `smtp_security`, `smtp_port` and `rate` get defaults that depend on the host. Times are seconds.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=False, hide_input_in_errors=True)

    smtp_host: Host | None = example("smtp.example.org")
    smtp_port: Port = example("587", default=587)
    smtp_security: Protection = example("starttls", default=Security.STARTTLS)
    smtp_username: Line | None = example("ana@example.org")
    smtp_password: Secret | None = example("the-password", private=True)
    smtp_auth: Annotated[Auth, PlainValidator(values.choice(Auth))] = example("password", default=Auth.PASSWORD)
    smtp_oauth_client_id: Line | None = example("00000000-0000-0000-0000-000000000000")
    smtp_oauth_client_secret: Line | None = example("the-secret", private=True)
    smtp_oauth_service: Annotated[SignIn, PlainValidator(values.choice(SignIn))] | None = example("microsoft")
    smtp_oauth_authority: Annotated[str, PlainValidator(values.service_address)] | None = example(
        "https://login.microsoftonline.com/example.org"
    )
    smtp_timeout: Annotated[float, PlainValidator(values.timeout)] = example("300", default=300.0)
    smtp_allow_unencrypted_i_understand_the_risk: Flag = example("true", default=False)

    sender: MailboxText | None = example("Ana Berg <ana@example.org>")
    reply_to: MailboxText | None = example("office@example.org")
    bounce_address: Annotated[str, PlainValidator(values.bounce_address)] | None = example(
        "bounces+{token}@example.org"
    )
    list_id: Annotated[str, PlainValidator(values.list_id)] | None = example("appeals.example.org")
    postal_address: Annotated[str, PlainValidator(values.postal_address)] | None = example(
        "1 Example Street, Exampletown"
    )
    unsubscribe_url: Annotated[str, PlainValidator(values.web_address)] | None = example(
        "https://example.org/unsubscribe"
    )
    unsubscribe_mailto: Annotated[str, PlainValidator(values.mailto)] | None = example("unsubscribe@example.org")

    ledger: Annotated[str | Server, PlainValidator(values.ledger)] = example(
        "sqlite:///mailer.db", default="sqlite:///mailer.db"
    )
    rate: Annotated[tuple[Quota, ...], PlainValidator(values.rates)] = example("20/minute, 500/hour", default=())
    domain_rate: Annotated[Mapping[str, tuple[Quota, ...]], PlainValidator(values.domain_rates)] = example(
        "gmail.com=100/hour, 5/minute", default={}
    )
    batch_size: Annotated[int, PlainValidator(values.whole(1, 10_000))] = example("50", default=50)
    batch_pause: Annotated[float, PlainValidator(values.duration)] = example("30s", default=0.0)
    hours: Annotated[Hours, PlainValidator(values.office_hours)] | None = example("Mon-Fri 9:00-17:00")
    time_zone: Annotated[str, PlainValidator(values.time_zone)] | None = example("Europe/Paris")
    connections: Annotated[int, PlainValidator(values.whole(1, 50))] = example("1", default=1)
    processes: Annotated[int, PlainValidator(values.whole(1, 16))] | None = example("2")
    pipelining: Annotated[Pipelining, PlainValidator(values.choice(Pipelining))] = example(
        "message", default=Pipelining.AUTO
    )
    bounce_brake: Annotated[tuple[int, float] | None, PlainValidator(values.bounce_brake)] = example(
        "5, 10%", default=(5, 10.0)
    )
    complaint_brake: Annotated[tuple[int, float] | None, PlainValidator(values.bounce_brake)] = example(
        "3, 0.3%", default=(STOP_LEAST, STOP_PERCENT)
    )
    worker_metrics: Annotated[tuple[str, int], PlainValidator(watching.listening)] | None = example("9325")
    worker_log: Annotated[LogForm, PlainValidator(values.choice(LogForm))] = example("json", default=LogForm.TEXT)
    proxy: Annotated[Proxy | None, PlainValidator(values.proxy)] = example("socks5://127.0.0.1:9050", private=True)
    dns_server: Annotated[tuple[str, int], PlainValidator(values.server)] | None = example("192.0.2.53")

    imap_host: Host | None = example("imap.example.org")
    imap_port: Port = example("993", default=993)
    imap_security: Protection = example("tls", default=Security.TLS)
    imap_username: Line | None = example("ana@example.org")
    imap_password: Secret | None = example("the-password", private=True)
    imap_auth: Annotated[Auth, PlainValidator(values.choice(Auth))] = example("password", default=Auth.PASSWORD)
    imap_folder: Line = example("INBOX", default="INBOX")
    imap_done_folder: Line = example("mailer-done", default="mailer-done")

    dkim_domain: Annotated[str, PlainValidator(values.domain)] | None = example("example.org")
    dkim_selector: Selector | None = example("mail2026")
    dkim_key_file: Line | None = example("dkim.pem")
    dkim_ed25519_selector: Selector | None = example("mail2026e")
    dkim_ed25519_key_file: Line | None = example("dkim-ed25519.pem")

    passphrase: Annotated[SecretStr, PlainValidator(values.passphrase)] | None = example(
        "several words that only you know", private=True
    )

    queues: Annotated[tuple[str, ...], PlainValidator(names)] = example("national, regional", default=())

    _named: dict[str, Settings] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  pydantic-settings passes them by name
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Our own layers in place of the built-in sources, which would not say where a value stands."""
        return tuple(LayerSource(settings_cls, layer) for layer in init_settings()["layers"])

    @property
    def rate_is_default(self) -> bool:
        """Whether nobody chose a rate."""
        return "rate" not in self._entries

    @property
    def ledger_place(self) -> LedgerPlace:
        """The ledger's file, or its database on PostgreSQL."""
        if isinstance(self.ledger, Server):
            return self.ledger
        return self._folder / self.ledger.removeprefix("sqlite:///")

    @cached_property
    def password(self) -> str | None:
        """The SMTP password or token: as set, else from the system keyring (asked only now, and once)."""
        if self.smtp_password is not None:
            return self.smtp_password.get_secret_value()
        if self.smtp_username is None or self.smtp_host is None:
            return None
        return passwords.find(self.smtp_username, self.smtp_host)

    @property
    def sends_with_tokens(self) -> bool:
        """Whether the kept password is a refresh token, by which access tokens are to be got (XOAUTH2).

        Without a client id it is an access token itself, which somebody else renews.
        """
        return self.smtp_auth is Auth.XOAUTH2 and self.smtp_oauth_client_id is not None

    @property
    def reads_with_tokens(self) -> bool:
        """Whether the mailbox takes the same sign-in as the mail server."""
        return self.imap_auth is Auth.XOAUTH2

    def keep_token(self, token: str) -> None:
        """Put a new refresh token where the old one is kept: in its file, else in the keyring.

        One that stands in a settings file stays: what people wrote themselves is theirs.
        """
        entry = self._entries.get("smtp_password")
        if entry and entry.path:
            # a full disk is no reason to stop: services go on taking the old one for a while
            with suppress(SettingsError):
                write_private(entry.path, f"{token}\n")
        elif not entry and self.smtp_username and self.smtp_host:
            passwords.keep(self.smtp_username, self.smtp_host, token)

    @cached_property
    def way(self) -> Proxy | None:
        """The proxy, its password from the system keyring (asked only now, and once) where only a user name is set.

        Raises SettingsError if there is none: without it, the proxy might take us for somebody else.
        """
        if self.proxy is None or self.proxy.username is None or self.proxy.password is not None:
            return self.proxy
        password = passwords.find(self.proxy.username, self.proxy.host)
        if password is None:
            raise SettingsError(
                "There is a user name for the proxy (MAILER_PROXY), but no password.",
                hint="Write socks5://USERNAME:PASSWORD@HOST:PORT into a file and name it in MAILER_PROXY_FILE, "
                "or store the password in the system keyring: python -m keyring set mailer USERNAME@HOST",
            )
        return replace(self.proxy, password=password)

    @cached_property
    def signing(self) -> Signing:
        """What signs messages (DKIM); its files are read only now, and once. Raises SettingsError."""
        if not any(name in self._entries for name in signing.NAMES):
            return Signing()
        second = any(name in self._entries for name in signing.SECOND)
        self.require("dkim_domain", *signing.MAIN, *(signing.SECOND if second else ()))
        assert self.dkim_domain is not None
        return signing.read_signing(self._folder, self._entries, self.dkim_domain)

    @cached_property
    def kept_key(self) -> str | None:
        """The key of encrypted files that the system keyring keeps (asked only now, and once)."""
        return passwords.find_key()

    def named(self, relay: str) -> Settings | None:
        """The settings of an account that has a section of its own, or None."""
        return next((one for name, one in self._named.items() if relays.key_of(name) == relays.key_of(relay)), None)

    @property
    def accounts(self) -> Mapping[str, Settings]:
        """The settings of each account that letters may leave over; the first is the one that is used where none is named."""
        if self._named and self.smtp_host is None:
            return self._named
        return {self._name: self, **self._named}

    def over(self, relay: str | None = None) -> Settings:
        """The settings of one account. Raises SettingsError if there is none of this name."""
        accounts = self.accounts
        if relay is None:
            return next(iter(accounts.values()))
        found = self if relay.casefold() == MAIN_RELAY and MAIN_RELAY in accounts else self.named(relay)
        if found is None:
            known = ", ".join(accounts) if self._named else "none"
            raise SettingsError(
                said("There is no relay {name!r} in the settings (there are: {known}).", name=relay, known=known),
                hint=said(
                    'write it into mailer.toml, a line [relays.{name}] and below it smtp_host = "smtp.example.org"',
                    name=relay,
                ),
            )
        return found

    @property
    def account(self) -> str:
        """What tells this account from others, as `smtp.Relay.account` does."""
        account = f"{self.smtp_username or ''}@{self.smtp_host}".casefold()
        return f"{account}:{self.smtp_port}" if is_loopback(self.smtp_host) else account

    def identity(self) -> Identity:
        """Who letters speak for, over each account. Raises SettingsError without SENDER, or if messages cannot be signed as set."""
        speakers = {
            name: replace(one.face(), own_sender=one is not self and one.sender != self.sender)
            for name, one in self.accounts.items()
        }
        first = next(iter(speakers.values()))
        others = [(name, face) for name, face in sorted(speakers.items()) if face != first]
        return replace(first, faces=tuple(others))

    def face(self) -> Identity:
        """Who speaks over this account."""
        self.require("sender")
        assert self.sender is not None
        return Identity(
            sender=self.sender,
            reply_to=self.reply_to,
            bounce_address=self.bounce_address,
            list_id=self.list_id,
            postal_address=self.postal_address,
            unsubscribe_url=self.unsubscribe_url and values.marked_link(self.unsubscribe_url),
            unsubscribe_mailto=self.unsubscribe_mailto and values.marked_mailto(self.unsubscribe_mailto),
            signatures=self.signing.signer.signatures if self.signing.signer else (),
        )

    @cached_property
    def mailbox_password(self) -> str | None:
        """The IMAP password: as set, else from the system keyring (asked only now, and once)."""
        if self.imap_password is not None:
            return self.imap_password.get_secret_value()
        if self.imap_username is None or self.imap_host is None:
            return None
        return passwords.find(self.imap_username, self.imap_host)

    def require_reading(self) -> None:
        """Raise SettingsError with everything that is missing for reading the mailbox; may ask the keyring."""
        self.require("imap_host", "imap_username")
        if self.reads_with_tokens:
            self.require("smtp_host", "smtp_username", "smtp_oauth_client_id")
        if (self.password if self.reads_with_tokens else self.mailbox_password) is None:
            raise SettingsError(
                "There is a user name for the mailbox (MAILER_IMAP_USERNAME), but no password.",
                hint="Set MAILER_IMAP_PASSWORD in .env (often it is that for sending), or MAILER_IMAP_PASSWORD_FILE to a file; "
                "with many providers this does all of it: mailer setup",
                problems=self.overlooked(),
            )

    def require_sending(self) -> None:
        """Raise SettingsError with everything that is missing for sending; may ask the keyring."""
        self.require("sender", "smtp_host")
        if left := self.placeholders():
            raise SettingsError(
                "The settings still have examples of the starter in them. Nothing was sent.",
                hint=said("Correct these lines, or be asked for the account: {command}", command=self.setup),
                problems=left,
            )
        if self.smtp_username is not None and self.password is None:
            raise SettingsError(
                said(
                    "There is a user name for the mail server ({name}), but no password.",
                    name=self.called("smtp_username"),
                ),
                hint=said(
                    "Set {name} in .env, or {file} to a file that holds it; or be asked, and have it kept in this computer's"
                    " keyring: {command}",
                    name=self.variable("smtp_password"),
                    file=self.variable("smtp_password_file"),
                    command=self.setup,
                ),
                problems=self.overlooked(),
            )

    def placeholders(self, severity: Severity = Severity.PROBLEM) -> list[Problem]:
        """The starter's own examples, left as they are; on this computer they do no harm."""
        if is_loopback(self.smtp_host):
            return []
        leave = (self.unsubscribe_mailto or "").partition("?")[0]
        left = {
            "sender": self.sender is not None and self.sender.address == "ana@example.org",
            "smtp_host": self.smtp_host == "smtp.example.org",
            "unsubscribe_mailto": leave == "ana@example.org",
        }
        return [
            self._entries[name].origin.problem("placeholder", PLACEHOLDERS[name], severity=severity)
            for name, found in left.items()
            if found
        ]
