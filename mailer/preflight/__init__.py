"""Before a send: the account, the sender's domain and the letter, each looked at for what would keep mail from arriving.

Nothing here connects to a relay or reads a file: `smtp.survey` says what the relay is, and the letter comes merged.
"""

from mailer.preflight import account, domain, letter, presets
from mailer.preflight.account import Account
from mailer.preflight.check import Area, Check, Level, of_level
from mailer.preflight.domain import Domains
from mailer.preflight.resolver import DnsSilentError, NetworkResolver, NoSuchNameError, Resolver

__all__ = [
    "Account",
    "Area",
    "Check",
    "DnsSilentError",
    "Domains",
    "Level",
    "NetworkResolver",
    "NoSuchNameError",
    "Resolver",
    "account",
    "domain",
    "letter",
    "of_level",
    "presets",
]
