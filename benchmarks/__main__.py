"""`make bench`: every benchmark, or those that are named, as one table (or with --json as JSON)."""

import argparse
import json
from dataclasses import asdict

from benchmarks import caching, footprint, length, memory, reading, results, startup, training
from benchmarks.measure import table

PARTS = {
    "startup": startup,
    "caching": caching,
    "reading": reading,
    "memory": memory,
    "length": length,
    "footprint": footprint,
    "training": training,
    "results": results,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"any of {', '.join(PARTS)}; without one, all")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    chosen = parser.parse_args()
    unknown = set(chosen.parts) - set(PARTS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    rows = [row for name in chosen.parts or PARTS for row in PARTS[name].rows()]
    print(json.dumps([asdict(row) | {"ratio": row.ratio} for row in rows], indent=2) if chosen.json else table(rows))
