"""How another process of this program begins: it is the same `mailer`, wherever that lies."""

from __future__ import annotations

import sys
from pathlib import Path

import mailer


def command(module: str, function: str) -> list[str]:
    """The command that calls a function of ours in a process of its own.

    Not `-m`, which would look for every module in the campaign's folder first: a file `email.py` there is its owner's, not ours.
    """
    begin = (
        "import sys; sys.path.insert(0, sys.argv[1]); import mailer; sys.path.append(sys.path.pop(0)); "
        f"from {module} import {function}; {function}()"
    )
    return [sys.executable, "-P", "-c", begin, str(Path(mailer.__file__).parents[1])]
