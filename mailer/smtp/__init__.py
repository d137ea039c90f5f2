"""Relay connections and transactions: a Message in, an Outcome out."""

from mailer.smtp.connection import Connection
from mailer.smtp.relay import Relay, Security, connect

__all__ = ["Connection", "Relay", "Security", "connect"]
