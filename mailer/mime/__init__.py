"""A merged letter -> the bytes of one message (RFC 5322, 2045 to 2049), composed by hand and not by the standard library.

The policies of `email` fold and encode what must stay as it is (List-Unsubscribe), and may split a display name with a
comma into two senders; see DESIGN, section 9.
"""

from __future__ import annotations

from mailer.mime.addresses import is_ordinary
from mailer.mime.compose import compose
from mailer.mime.flaw import CONTROL, ComposeError
from mailer.mime.identifier import delivery_token, message_id, message_id_of

__all__ = ["CONTROL", "ComposeError", "compose", "delivery_token", "is_ordinary", "message_id", "message_id_of"]
