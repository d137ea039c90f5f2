"""The benchmarks: mailer and its peers on the same work in one run, as a table of rates and ratios.

    make bench                              everything, some twenty minutes
    make bench ARGS=--quick                 each case once and small
    python -m benchmarks --only whole --messages 100000

Read cases/ (what is measured), then peers/ (against whom), measure.py (how), servers.py (who takes the messages).
"""

import sys

if sys.platform == "win32":
    sys.exit("The benchmarks need Postfix's smtp-sink, so they run on Linux and macOS only.")
