"""Addresses of pages that hold a name or a number: a campaign may be called anything, and a number is no longer than any list."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.convertors import CONVERTOR_TYPES, Convertor


def campaign_url(name: str) -> str:
    """The address of a campaign's page. A slash in its name does not look like one, nor do two dots lead upwards."""
    plain = name.replace("%", "%25").replace("/", "%2F")
    # browsers take the steps of `..` themselves, also where it is written %2E%2E
    plain = plain.replace(".", "%2E") if not plain.strip(".") else plain
    return f"/campaign/{quote(plain, safe='')}"


class CampaignName(Convertor[str]):
    """One step of a path, as `campaign_url` writes it."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return campaign_url(value).rpartition("/")[2]


class Count(Convertor[int]):
    """A number of a row or a file. Python refuses to read one of thousands of digits."""

    regex = "[0-9]{1,9}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


# not by Starlette's own function, whose type wants a name for each
CONVERTOR_TYPES.update({"campaign": CampaignName(), "count": Count()})
