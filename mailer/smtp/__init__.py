"""Relay connections and transactions: a Message in, an Outcome out."""

from mailer.model import Security
from mailer.smtp.connection import FAREWELL, Connection, Farewell
from mailer.smtp.relay import Relay, connect
from mailer.smtp.survey import survey

__all__ = ["FAREWELL", "Connection", "Farewell", "Relay", "Security", "connect", "survey"]
