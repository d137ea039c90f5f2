"""The report of a campaign: totals that add up, refusals in the servers' own words, every row as CSV and as a page."""

from mailer.report.page import write_html
from mailer.report.summary import Report, summarise
from mailer.report.table import write_csv

__all__ = ["Report", "summarise", "write_csv", "write_html"]
