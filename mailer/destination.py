"""Which domains are one destination: those that a mail provider serves with the same servers, under the same limits."""

from __future__ import annotations

import re
from collections.abc import Collection

PROVIDERS = {
    "Gmail": r"gmail\.com|googlemail\.com",
    "Microsoft (Outlook, Hotmail)": r"(outlook|hotmail|live)\.(com|[a-z]{2}|com?\.[a-z]{2})|msn\.com|passport\.com",
    "Yahoo and AOL": r"yahoo\.(com|[a-z]{2}|com?\.[a-z]{2})|(ymail|rocketmail|myyahoo|aol|aim)\.com|aol\.[a-z]{2}|aol\.co\.uk",
    "Apple iCloud": r"(icloud|me|mac)\.com",
    "GMX and WEB.DE": r"gmx\.(net|com|[a-z]{2})|web\.de",
    "Proton": r"proton\.me|protonmail\.(com|ch)|pm\.me",
    "Telekom": r"t-online\.de|magenta\.de",
    "Orange": r"orange\.fr|wanadoo\.fr",
    "Free": r"free\.fr",
    "Libero": r"libero\.it|virgilio\.it|inwind\.it|iol\.it",
    "Seznam": r"seznam\.cz|email\.cz|post\.cz",
    "Mail.ru": r"(mail|inbox|list|bk|internet)\.ru",
    "Yandex": r"yandex\.(com|ru|by|kz|ua|com\.tr)|ya\.ru",
    "BT": r"btinternet\.com|btopenworld\.com|talk21\.com",
    "Virgin Media": r"virginmedia\.com|ntlworld\.com|blueyonder\.co\.uk",
}
"""Domains behind one set of mail servers, as the providers name them: what refuses at one of them refuses at all."""

PROVIDER = re.compile("|".join(f"(?P<p{number}>{domains})" for number, domains in enumerate(PROVIDERS.values())))


def provider(domain: str) -> str:
    """The mail provider whose domain it is, or the domain itself."""
    found = PROVIDER.fullmatch(domain)
    return list(PROVIDERS)[int((found.lastgroup or "p0")[1:])] if found else domain


def destinations(domain: str) -> set[str]:
    """What a message to a domain counts towards: the domain and each above it, by the provider's name where it has one."""
    labels = domain.split(".")
    return {provider(".".join(labels[at:])) for at in range(len(labels))}


def limited_by(domain: str, keys: Collection[str]) -> str:
    """Which of these domains stands for this one: itself, one above it, or another of its provider; blank for none."""
    key = domain
    while key and key not in keys:
        key = key.partition(".")[2]
    named = PROVIDER.fullmatch(domain)
    if key or not named:
        return key
    return next((other for other in keys if provider(other) == provider(domain)), "")
