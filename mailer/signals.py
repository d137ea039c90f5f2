"""The signals by which a person, a session or a service asks a program to end."""

from __future__ import annotations

import signal

STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""SIGHUP is what a closed window sends; Windows has none, but SIGBREAK, the only one for a program in a process group of its own."""
