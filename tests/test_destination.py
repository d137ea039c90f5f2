"""Domains that one provider serves share its limit; all others have their own."""

from __future__ import annotations

import re

import pytest

from mailer.destination import alike, limited_by
from mailer.model import Quota
from mailer.pace import EACH, Pace


@pytest.mark.parametrize(
    ("domain", "keys", "found"),
    [
        ("gmail.com", ["gmail.com"], "gmail.com"),
        ("googlemail.com", ["gmail.com"], "gmail.com"),
        ("googlemail.com", ["gmail.com", "googlemail.com"], "googlemail.com"),
        ("mail.union.example", ["union.example"], "union.example"),
        ("notunion.example", ["union.example"], ""),
        ("hotmail.co.uk", ["outlook.com", "gmail.com"], "outlook.com"),
        ("union.example", ["gmail.com"], ""),
    ],
)
def test_a_limit_holds_for_all_of_a_providers_domains_but_those_with_their_own(domain, keys, found):
    assert limited_by(domain, keys) == found


@pytest.mark.parametrize(
    ("name", "domain"), [("gmail.com", "googlemail.com"), ("Gmail", "gmail.com"), ("a.b", "mx.a.b")]
)
def test_the_pattern_of_a_destination_fits_its_domains_and_no_others(name, domain):
    assert re.fullmatch(alike(name), domain)
    assert not re.fullmatch(alike(name), f"not{domain}".replace(".", "x"))


async def test_two_domains_of_a_provider_wait_for_each_other_and_for_nobody_else():
    for domains in ({"gmail.com": [Quota(count=1, seconds=60)]}, {EACH: [Quota(count=1, seconds=60)]}):
        pace = Pace([], domains)
        assert pace.try_reserve("gmail.com")
        assert pace.try_reserve("googlemail.com") is None
        assert pace.try_reserve("union.example")
