"""The organiser's page: from a list to a checked, sent campaign and its report, one page a step.

`create_app` in `app`. It makes the same calls as the commands; sending is the command itself, run beside the page, so that neither a
crash of the page nor a closed browser hurts it. What is being prepared stands in the address, so there is nothing to lose.
"""

from mailer.web.journey.app import create_app
from mailer.web.journey.means import Means

__all__ = ["Means", "create_app"]
