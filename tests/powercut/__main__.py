"""The laboratory as a command: one line of result, and exit code 1 if anything acknowledged was lost."""

import argparse
import random
import sys

from . import CannotRecord, cut_power

parser = argparse.ArgumentParser(prog="python -m tests.powercut", description="Simulated power cuts under the ledger.")
parser.add_argument("--cuts", type=int, default=300)
parser.add_argument("--seed", type=int, help="drawn and printed if it is not given")
parser.add_argument("--synchronous", choices=["FULL", "NORMAL", "OFF"], help="a control: the ledger always uses FULL")
options = parser.parse_args()
seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
try:
    result = cut_power(options.cuts, seed, synchronous=options.synchronous)
except CannotRecord as error:
    sys.exit(f"No power cut was simulated: {error}")
print(f"{result} (seed {seed})")
for words in [*result.damaged, *result.impossible][:20]:
    print(words, file=sys.stderr)
sys.exit(0 if result.sound else 1)
