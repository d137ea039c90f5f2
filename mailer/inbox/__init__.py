"""Mail that comes back: read over IMAP (`mailbox`, the only place for imap_tools), understood and correlated without I/O.

In order: `mail` takes a mail apart; `delivery_status`, `plain_bounce`, `complaint` and `answers` each know one kind;
`understand` tells which it is, `classify` whom a bounce speaks of, `correlate` which delivery it is about.
"""

from mailer.inbox.correlate import Known, events_of, is_ours
from mailer.inbox.understand import Kind, Understood, understand

__all__ = ["Kind", "Known", "Understood", "events_of", "is_ours", "understand"]
