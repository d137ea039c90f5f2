"""The report of a campaign: totals that add up, refusals in the servers' own words, every row as CSV and as a page."""

from mailer.report.page import is_html_report, write_html
from mailer.report.summary import Report, summarise
from mailer.report.table import is_csv_report, write_csv

__all__ = ["Report", "is_csv_report", "is_html_report", "summarise", "write_csv", "write_html"]
