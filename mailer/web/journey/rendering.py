"""The pages' frame: templates, what every one of them knows, and how an error is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.templating import Jinja2Templates

from mailer.errors import MailerError
from mailer.model import Problem, as_said
from mailer.model import said as said_below
from mailer.preview.page import sentence
from mailer.web.journey.addresses import campaign_url
from mailer.web.journey.draft import STEPS, Draft
from mailer.web.journey.means import Means
from mailer.web.journey.ways import mended_at, parts
from mailer.web.journey.words import direction, figure, gettext, later, ngettext, speaking

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-src 'self'; img-src 'self' data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

TITLES = {
    "list": later("List"),
    "letter": later("Letter"),
    "preview": later("Preview"),
    "test": later("Test"),
    "approve": later("Approve"),
    "send": later("Send"),
}

STATES = {
    "waiting": later("paused, goes on by itself"),
    "refused": later("not begun"),
    "left": later("waiting for workers"),
}
"""The states of a campaign that are called otherwise than they are named: the terminal calls paused, too, what a page goes on with."""


class Pages:
    """Renders the pages of a campaign folder."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._templates = Jinja2Templates(directory=Path(__file__).parent / "pages")
        environment = self._templates.env
        environment.add_extension("jinja2.ext.i18n")
        environment.trim_blocks = environment.lstrip_blocks = True
        environment.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
        filters: dict[str, Any] = {
            "number": figure,
            "sentence": lambda problem: gettext(sentence(problem)),
            "json": json.dumps,
            "campaign_url": campaign_url,
            "state": lambda state: gettext(STATES.get(state) or state),
            # not `_`, which takes what it is given for markup, and % for the place of a value
            "told": gettext,
            "capital": lambda text: said_below("{sentence:A}", sentence=as_said(text)),
            "led": partial(parts, practising=bool(means.practice_of)),
        }
        environment.filters.update(filters)
        # in practice there is no account that could be changed
        environment.globals["mended_at"] = (lambda *_: "") if means.practice_of else mended_at

    def draft(self, request: Request) -> Draft:
        """What is being prepared, from the form that came or else the address."""
        form = getattr(request.state, "form", None)
        return Draft.given(form if form is not None else request.query_params, self._means.folder)

    def show(self, request: Request, page: str, *, status: int = 200, **values: Any) -> Response:
        """A page. `draft` may be among the values; without it, it is the request's. `background` is done once it is answered.

        `step` is the one that a page belongs to which is not called after it.
        """
        draft, background = values.pop("draft", None) or self.draft(request), values.pop("background", None)
        return self._templates.TemplateResponse(
            request,
            f"{page}.html",
            {
                "page": values.pop("step", "") or page,
                "practice": self._means.practice_of,
                "language": speaking(),
                "direction": direction(speaking()),
                "folder": self._means.folder.resolve().name,
                "csrf": request.state.csrf,
                "steps": [(step, gettext(TITLES[step]), draft.url(step)) for step in STEPS],
                "draft": draft,
                **values,
            },
            status_code=status,
            background=background,
            headers={"Content-Security-Policy": POLICY, "Vary": "Accept-Language"},
        )

    async def refused(self, request: Request, error: Exception) -> Response:
        """A MailerError as a page, or as data for a script."""
        assert isinstance(error, MailerError)
        if request.headers.get("accept", "").startswith("application/json"):
            return JSONResponse(
                {
                    "error": gettext(error.message),
                    "hint": error.hint and gettext(error.hint),
                    "problems": said(error.problems),
                },
                422,
            )
        # whoever is in the midst of a campaign goes back to where they were, with list and letter as chosen
        place = request.url.path.split("/")[1]
        step = place if place in STEPS else ""
        return self.show(request, "refused", status=422, step=step, error=error, problems=said(error.problems))


def said(problems: Sequence[Problem], most: int = 50) -> list[str]:
    """Problems as sentences in the reader's language, the first so many."""
    return [gettext(sentence(problem)) for problem in problems[:most]]


__all__ = ["POLICY", "Pages", "said"]
