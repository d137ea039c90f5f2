"""The report of a campaign: numbers that add up, pictures of them, a page and a table.

`campaign.report.make_report` counts a Report; `counts_only` takes people out of it. `page` gives a whole HTML page, `content` what
stands inside of it and `style` how that looks, for a page of somebody else's; `pictures` the pictures alone.
"""

from mailer.report.course import Course, course, step_for
from mailer.report.groups import Counted, Spread, count, is_grouping, telling
from mailer.report.page import content, is_html_report, page, policy, script, style, write_html
from mailer.report.pictures import Picture, pictures
from mailer.report.summary import ATTENTION, LISTED, SMALLEST, Report, counts_only, facts, refusals
from mailer.report.table import is_csv_report, parts, write_count_lines, write_counts, write_csv, write_lines

__all__ = [
    "ATTENTION",
    "LISTED",
    "SMALLEST",
    "Counted",
    "Course",
    "Picture",
    "Report",
    "Spread",
    "content",
    "count",
    "counts_only",
    "course",
    "facts",
    "is_csv_report",
    "is_grouping",
    "is_html_report",
    "page",
    "parts",
    "pictures",
    "policy",
    "refusals",
    "script",
    "step_for",
    "style",
    "telling",
    "write_count_lines",
    "write_counts",
    "write_csv",
    "write_html",
    "write_lines",
]
