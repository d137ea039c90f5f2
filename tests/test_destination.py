"""Domains that one provider serves share its limit; all others have their own."""

from __future__ import annotations

import pytest

from mailer.destination import destinations, limited_by, provider
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
    ("domain", "found"),
    [
        ("googlemail.com", {"Gmail", "com"}),
        ("mx.gmail.com", {"mx.gmail.com", "Gmail", "com"}),
        ("mx.a.b", {"mx.a.b", "a.b", "b"}),
    ],
)
def test_a_message_counts_towards_its_domain_each_above_it_and_its_provider(domain, found):
    assert destinations(domain) == found


@pytest.mark.parametrize("domain", ["mx.a.b", "a.b", "googlemail.com", "mx.gmail.com", "gmx.net", "b", "c.example"])
@pytest.mark.parametrize("key", ["a.b", "b", "gmail.com", "gmx.de"])
def test_whatever_limits_a_domain_its_messages_count_towards(domain, key):
    if limited_by(domain, [key]):
        assert provider(key) in destinations(domain)


async def test_two_domains_of_a_provider_wait_for_each_other_and_for_nobody_else():
    for domains in ({"gmail.com": [Quota(count=1, seconds=60)]}, {EACH: [Quota(count=1, seconds=60)]}):
        pace = Pace([], domains)
        assert pace.try_reserve("gmail.com")
        assert pace.try_reserve("googlemail.com") is None
        assert pace.try_reserve("union.example")
