"""`make bench`: every benchmark, as one table (or with --json as JSON)."""

import json
import sys
from dataclasses import asdict

from benchmarks import mel, startup
from benchmarks.measure import table

rows = [*startup.rows(), *mel.rows()]
if "--json" in sys.argv[1:]:
    print(json.dumps([asdict(row) | {"ratio": row.ratio} for row in rows], indent=2))
else:
    print(table(rows))
