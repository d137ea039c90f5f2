"""Where things stand: the first page with the campaigns of the folder, and their reports."""

from __future__ import annotations

import io

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mailer import report
from mailer.campaign.report import make_report
from mailer.errors import MailerError, SettingsError
from mailer.ledger import SenderLock
from mailer.web.journey.means import Means
from mailer.web.journey.rendering import Pages


class Standings:
    def __init__(self, means: Means, pages: Pages) -> None:
        self._means, self._pages = means, pages

    def start(self, request: Request) -> Response:
        """The campaigns, the newest first, and whether mail can be sent at all."""
        missing: MailerError | None = None
        try:
            settings = self._means.settings()
            settings.require_sending()
        except SettingsError as error:
            missing = error
        rows = []
        with self._means.ledger(self._means.settings()) as ledger:
            for campaign in reversed(ledger.campaigns()):
                tally = ledger.tally(campaign)
                if SenderLock(ledger, campaign.name).is_held():
                    state = "sending"
                else:
                    state = "paused" if tally.work_left else "finished"
                rows.append((campaign, tally, state))
        return self._pages.show(request, "start", campaigns=rows, missing=missing)

    def report(self, request: Request) -> Response:
        """The report of `mailer report --html`, to look at here; `?counts=1` without anybody's address."""
        with self._means.ledger(self._means.settings()) as ledger:
            campaign = ledger.campaign(request.path_params["name"])
            if campaign is None:
                raise HTTPException(404)
            made = make_report(ledger, campaign)
        if request.query_params.get("counts") == "1":
            made = report.counts_only(made)
        page = report.page(made)
        response = HTMLResponse(str(page), headers={"Content-Security-Policy": report.policy()})
        if request.query_params.get("save") == "1":
            response.headers["Content-Disposition"] = 'attachment; filename="report.html"'
        return response

    def table(self, request: Request) -> Response:
        """A line for everybody, as `mailer report --csv` writes it."""
        with self._means.ledger(self._means.settings()) as ledger:
            campaign = ledger.campaign(request.path_params["name"])
            if campaign is None:
                raise HTTPException(404)
            text = io.StringIO(newline="")
            report.write_lines(text, campaign, ledger.records(campaign))
        response = Response(text.getvalue().encode("utf-8-sig"), media_type="text/csv")
        response.headers["Content-Disposition"] = 'attachment; filename="report.csv"'
        return response
