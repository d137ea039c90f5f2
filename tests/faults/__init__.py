"""The fault laboratory: breaks a campaign in every way we could think of, and counts who was missed or mailed twice.

    make faults                             a short form, some minutes
    make faults-long                        a thousand kills and more
    python -m tests.faults --seed 7 --only silence --keep /tmp/here

Read stage.py and trial.py (how a campaign is made, struck and judged), then one family of faults, e.g. kills.py.
"""

import sys
from pathlib import Path

# The scripted server stands beside this package, among the tests.
if str(Path(__file__).parents[1]) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parents[1]))
