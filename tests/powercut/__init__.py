"""Simulated power cuts under the ledger: record what it does to its files, lose what was not synced, look what is left.

    python -m tests.powercut --cuts 300 --seed 7

`record.py` runs `workload.py` under `powercut.c`, which writes down every write and sync and what was acknowledged in between.
`disk.py` says what may be on the disk after a cut at any point of that record. `verdict.py` opens the ledger that is found
there and holds it against what had been acknowledged. `laboratory.py` does all that many times.
"""

from .laboratory import Result, cut_power
from .record import CannotRecord, compile_shim

__all__ = ["CannotRecord", "Result", "compile_shim", "cut_power"]
