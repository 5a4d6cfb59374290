"""`python -m tests.engine.fuzz`: run many random steps, print what fails and a summary."""

import argparse
import sys
import time

from tests.engine.fuzz import runner
from tests.engine.fuzz.cases import draw


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.engine.fuzz", description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000, help="how many random steps")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument("--show", type=int, metavar="SEED", help="print the source of one case")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        runner.serve()
        return 0
    if options.show is not None:
        print(draw(options.show).source)  # noqa: T201
        return 0
    summary, start = runner.Summary(), time.monotonic()
    seeds = range(options.seed, options.seed + options.steps)
    for number, verdict in enumerate(runner.verdicts(seeds, options.workers), 1):
        summary.add(verdict)
        if verdict.kind not in ("compiled", "fell back"):
            print(f"seed {verdict.seed} {verdict.kind}: {verdict.text}", flush=True)  # noqa: T201
        if number % 500 == 0:
            took = time.monotonic() - start
            print(f"{number} steps in {took:.0f} s", file=sys.stderr)  # noqa: T201
    print(summary)  # noqa: T201
    return 1 if summary.failures else 0


if __name__ == "__main__":
    sys.exit(main())
