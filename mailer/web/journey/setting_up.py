"""The account is set up: whose mailbox it is, how to sign in there, the try at the real server, and what came of it.

What decides and writes is `mailer.account`, as for the command. What is typed travels in forms only: an address or a password stands in
no link, and a password in no page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from mailer import account as steps
from mailer.account import NO_LOGIN, Given
from mailer.errors import SettingsError, UsageError
from mailer.model import said, words_of
from mailer.preflight import presets
from mailer.preflight.presets import Password, Preset
from mailer.settings import Auth, Settings, values
from mailer.web.journey.attempt import Attempt, Attempts
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages
from mailer.web.journey.ways import pace
from mailer.web.journey.words import gettext as _

Kind = TypeVar("Kind")

OTHER = "other"
KEPT = ("address", "provider", "host", "port", "security", "username", "name", "auth", "client_id", "without")
"""What a form shows again; secrets are typed anew."""


class FieldError(UsageError):
    """One field of the form is not right."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """Takes every answer from the form, or what is usual. Raises FieldError."""

    asks: bool = False

    def answer(
        self, option: str, given: str | None, question: str, check: Callable[[str], Kind], usual: str = ""
    ) -> Kind:
        """As `mailer.account.Interview` has it; nobody is asked the question."""
        del question
        field = option.removeprefix("--").replace("-", "_")
        if given is None and not usual:
            raise FieldError(field, _("This is still missing."))
        try:
            return check(usual if given is None else given)
        except ValueError as error:
            raise FieldError(field, said("{sentence:A.}", sentence=words_of(error))) from error

    def note(self, text: str) -> None:
        """The page says such things in its own place."""

    def unasked(self) -> Form:
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the page can say once it knows the address: the provider, if there is one, and whether its server must be named."""

    preset: Preset | None
    host: str

    @property
    def title(self) -> str:
        return self.preset.title if self.preset else ""

    @property
    def sign_in(self) -> str:
        return self.preset.login if self.preset else ""

    @property
    def limits(self) -> str:
        return ", ".join(map(pace, self.preset.limits)) if self.preset else ""

    @property
    def service(self) -> str:
        return self.preset.oauth.value if self.preset and self.preset.oauth else ""

    @property
    def only_tokens(self) -> bool:
        return self.preset is not None and self.preset.password is Password.NONE


def known(form: Mapping[str, str]) -> Known:
    """By the provider that was chosen, or else by the address."""
    chosen = form.get("provider", "")
    preset = next((one for one in presets.all() if one.name == chosen), None)
    host = preset.host if preset else None
    if not chosen:
        host = presets.host_for(form.get("address", "").rpartition("@")[2])
        preset = presets.for_host(host) if host else None
    if not host and form.get("host"):
        preset = presets.for_host(form["host"]) or preset
    return Known(preset=preset, host=host or "")


class SettingUp:
    def __init__(self, means: Means, pages: Pages) -> None:
        self._means, self._pages = means, pages
        self._attempts = Attempts(means.folder, means.settings, means.bug)

    # -- whose mailbox

    def who(self, request: Request) -> Response:
        settings = self._means.settings()
        address = settings.sender.address if settings.sender and not steps.is_example(settings) else ""
        return self._show_who(request, settings, {"address": address})

    def _show_who(self, request: Request, settings: Settings, form: Mapping[str, str], **said: Any) -> Response:
        overruled: SettingsError | None = None
        try:
            steps.refuse_overruled(settings)
        except SettingsError as error:
            overruled = error
        providers = [(one.name, one.title) for one in presets.all()]
        return self._pages.show(request, "setup", form=form, providers=providers, overruled=overruled, **said)

    # -- how to sign in

    def how(self, request: Request) -> Response:
        """The second form, made for the provider. Coming back to it with the address changed begins anew."""
        settings, form = self._means.settings(), request.state.form
        try:
            values.address(form.get("address", ""))
        except ValueError:
            wrong = FieldError("address", _("This is not one e-mail address."))
            return self._show_who(request, settings, form, wrong=wrong)
        return self._show_how(request, settings, self._prefilled(settings, form))

    def _prefilled(self, settings: Settings, form: Mapping[str, str]) -> dict[str, str]:
        """What the settings have of this very account already."""
        filled = {name: form.get(name, "") for name in KEPT}
        if settings.sender and not steps.is_example(settings):
            filled["name"] = filled["name"] or settings.sender.name
        filled["client_id"] = filled["client_id"] or settings.smtp_oauth_client_id or ""
        if settings.smtp_host and not settings.placeholders() and not known(form).host:
            filled["host"] = filled["host"] or settings.smtp_host
            filled["port"] = filled["port"] or str(settings.smtp_port)
        return filled

    def _show_how(self, request: Request, settings: Settings, form: Mapping[str, str], **said: Any) -> Response:
        about = known(form)
        service = settings.smtp_oauth_service.value if settings.smtp_oauth_service else about.service
        return self._pages.show(
            request, "setup_form", form=form, about=about, service=service,
            has_secret=bool(settings.smtp_oauth_client_secret), **{"wrong": None, "attempt": None, **said},
        )  # fmt: skip

    # -- the try

    def begin(self, request: Request) -> Response:
        """Try the login, and show how it goes. Nothing is written before the server has taken it."""
        settings, form = self._means.settings(), request.state.form
        steps.refuse_overruled(settings)
        shown = {name: form.get(name, "").strip() for name in KEPT}
        try:
            account = steps.account_of(Form(), _given(form, settings), settings)
            secret = _secret(form) if account.username and account.login.auth is Auth.PASSWORD else ""
        except FieldError as wrong:
            return self._show_how(request, settings, shown, wrong=wrong)
        except UsageError as wrong:
            return self._show_how(request, settings, shown, wrong=FieldError("", wrong.message))
        key = self._attempts.begin(Attempt(account=account, given=shown), settings, secret)
        return RedirectResponse(f"/account/setup/{key}", 303)

    def attempt(self, request: Request) -> Response:
        """How far it is: still trying, waiting for a person, refused, or done."""
        attempt = self._found(request)
        if attempt is None:
            return RedirectResponse("/account/setup", 303)
        if attempt.stage == "refused":
            return self._show_how(request, self._means.settings(), attempt.given, attempt=attempt)
        about = Known(preset=attempt.account.preset, host=attempt.account.host)
        return self._pages.show(
            request, "setup_try", attempt=attempt, key=request.path_params["key"], about=about,
            no_keyring=steps.NO_KEYRING, question=steps.FILE_QUESTION,
        )  # fmt: skip

    def state(self, request: Request) -> Response:
        attempt = self._found(request)
        if attempt is None:
            raise HTTPException(404)
        return JSONResponse({"state": attempt.stage})

    def answer(self, request: Request) -> Response:
        """Whether the password may be kept in a file, where there is no keyring."""
        self._attempts.answer(request.path_params["key"], yes=request.state.form.get("keep") == "yes")
        return RedirectResponse(f"/account/setup/{request.path_params['key']}", 303)

    def _found(self, request: Request) -> Attempt | None:
        return self._attempts.look(request.path_params["key"])


def _given(form: Mapping[str, str], settings: Settings) -> Given:
    """The form as the command's options; what was left blank is not said."""
    said = {name: text for name in (*KEPT, "client_secret") if (text := form.get(name, "").strip())}
    if said.pop("without", ""):
        said["username"] = NO_LOGIN
    provider = said.get("provider")
    if known(form).host:
        said.pop("host", None)
    name = form.get("name", "").strip()
    before = settings.sender
    # who stays the same is not written anew: it may stand in mailer.toml, where somebody wrote it by hand
    stays = before and not steps.is_example(settings) and (before.name, before.address) == (name, said.get("address"))
    options: dict[str, str | None] = {
        **said, "provider": None if provider == OTHER else provider, "name": None if stays else name,
    }  # fmt: skip
    if provider == OTHER and "host" not in said:
        raise FieldError("host", _("This is still missing."))
    return Given(**options)


def _secret(form: Mapping[str, str]) -> str:
    """The password. Raises FieldError."""
    secret = form.get("password", "")
    if not secret:
        raise FieldError("password", _("This is still missing."))
    try:
        values.secret(secret)
    except ValueError as error:
        raise FieldError("password", _("It has a line break or another character that no password has.")) from error
    return secret
