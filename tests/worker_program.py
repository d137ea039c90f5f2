"""`mailer worker` with the rhythm of tests, as a process of its own: python tests/worker_program.py [OPTIONS]."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from workers import QUICK

from mailer.__main__ import main
from mailer.cli import worker

usual = worker.terms_of


def quick(*given: Any) -> Any:
    return dataclasses.replace(usual(*given), rhythm=QUICK)


if __name__ == "__main__":
    worker.terms_of = quick
    sys.exit(main(["worker", *sys.argv[1:]]))
