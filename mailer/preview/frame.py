"""A copy of a letter's HTML that can be shown without running, fetching or opening anything.

Three walls: the frame's empty `sandbox` stops scripts, forms and pop-ups, the policy placed before the letter's first
byte stops everything remote, and the policy of the page around keeps the frame from navigating away. What browsers do
before they ask a policy is taken out of the copy.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping
from urllib.parse import unquote

from mailer.preview.reading import Enclosed

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
PREFIX = (
    "<!doctype html>"
    f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    '<meta http-equiv="x-dns-prefetch-control" content="off">'
    '<meta name="referrer" content="no-referrer">'
    "<style>svg a, math * { pointer-events: none !important }</style>"  # links that ignore the base's target
    '<base target="_blank">'
)
TAG = r"""(?:[^>"']++|"[^"]*+"|'[^']*+')*+>"""
DROPPED = re.compile(rf"<(?:link|base|(meta))\b{TAG}", re.IGNORECASE)
# What the expression above could not follow, and frames: a browser connects to the host of a `link` (preconnect) or of
# an inner frame before any policy is asked. Under another name they are elements that mean nothing.
RENAMED = re.compile(r"<(?=(?:link|base|i?frame|frameset|object|embed|applet|portal)\b)", re.IGNORECASE)
# Inside the sandbox a link to a new window opens nothing, so every link has to ask for one, as `base` above says.
LINK = re.compile(rf"<(?:a|area)\b{TAG}", re.IGNORECASE)
TARGET = re.compile(r"\btarget(?=\s*=)", re.IGNORECASE)
CID = re.compile(r"""cid:([^"'\s()<>\\]+)""", re.IGNORECASE)
IMAGE = re.compile(r"image/[a-z0-9.+-]+")


def document(source: str, images: Mapping[str, Enclosed]) -> str:
    """The letter as the content of a sandboxed frame's `srcdoc` (not yet escaped for the attribute)."""
    shown = DROPPED.sub(_kept, source)
    shown = RENAMED.sub("<x-", shown)
    shown = LINK.sub(lambda match: TARGET.sub("data-target", match[0]), shown)
    return PREFIX + CID.sub(lambda match: _data_uri(match, images), shown)


def _kept(match: re.Match[str]) -> str:
    """Only a meta element that does not act like a header stays: its colour scheme shapes the letter."""
    return match[0] if match[1] and "http-equiv" not in match[0].lower() else ""


def _data_uri(match: re.Match[str], images: Mapping[str, Enclosed]) -> str:
    image = images.get(unquote(html.unescape(match[1])))
    if image is None or not IMAGE.fullmatch(image.content_type):
        return match[0]
    return f"data:{image.content_type};base64,{base64.b64encode(image.content).decode('ascii')}"
