"""Where Google and Microsoft take sign-ins, and what is asked of them."""

from __future__ import annotations

from dataclasses import dataclass

from mailer.model import SignIn


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One service. `device` is blank where a device code (RFC 8628) does not get the right to mail."""

    title: str
    authorize: str
    token: str
    scope: str
    device: str = ""


GOOGLE_PAGE = "https://accounts.google.com"
GOOGLE_TOKENS = "https://oauth2.googleapis.com"
MICROSOFT = "https://login.microsoftonline.com/common"
"""For accounts of any organisation, and private ones. An application of a single organisation has its own in place of `common`."""

GOOGLE_SCOPE = "https://mail.google.com/"
"""The one scope that SMTP and IMAP take."""

MICROSOFT_SCOPE = "https://outlook.office.com/SMTP.Send https://outlook.office.com/IMAP.AccessAsUser.All offline_access"


def service_of(name: SignIn, authority: str | None = None) -> Service:
    """The service; `authority` is a link to use in place of its usual one, without a slash at the end."""
    if name is SignIn.GOOGLE:
        return Service(
            title="Google",
            authorize=f"{authority or GOOGLE_PAGE}/o/oauth2/v2/auth",
            token=f"{authority or GOOGLE_TOKENS}/token",
            scope=GOOGLE_SCOPE,
        )
    base = f"{authority or MICROSOFT}/oauth2/v2.0"
    return Service(
        title="Microsoft",
        authorize=f"{base}/authorize",
        token=f"{base}/token",
        scope=MICROSOFT_SCOPE,
        device=f"{base}/devicecode",
    )
