"""Signing in without a password: OAuth 2 (RFC 6749) as Google and Microsoft want it for SMTP and IMAP.

`service` says whom to ask, `device` and `browser` let a person sign in, `access` gets tokens from then on. Each is a few
form posts, which need no library. Nothing here knows SMTP or IMAP: what comes out is a token.
"""

from mailer.oauth.access import Access
from mailer.oauth.asking import Client, Grant
from mailer.oauth.service import Service, service_of

__all__ = ["Access", "Client", "Grant", "Service", "service_of"]
