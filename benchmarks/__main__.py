"""`make bench`: run all benchmarks, or the named ones, and print one table (or JSON with --json)."""

import argparse
import json
from dataclasses import asdict
from importlib import import_module

from benchmarks.measure import table

PARTS = ("startup", "caching", "reading", "training", "gpu", "build", "tracking")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"any of {', '.join(PARTS)}; without one, all")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    # A part may need libraries that the others do not.
    rows = (row for name in arguments.parts or PARTS for row in import_module(f"benchmarks.{name}").rows())
    if arguments.json:
        print(json.dumps([asdict(row) | {"ratio": row.ratio} for row in rows], indent=2))
    else:
        for line in table(rows):
            print(line, flush=True)
