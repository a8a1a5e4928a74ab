"""`python -m tests.run [pytest's arguments]`: pytest on all cores; the few that failed once more, each alone.

Some tests run real clusters, browsers and kills, and a machine that was busy elsewhere for a minute fails one of
them now and then. What fails beside others and passes alone is named at the end, and worth a look; what fails twice
has failed.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

FEW = 25  # more than these are no accident
# Half of what the tests take is waiting: for a lease, a page, a process. Whoever has nothing left to do takes half of
# what another has, since a few of the tests take as long as hundreds of others.
WORKERS = ("--numprocesses", str(min(2 * (os.cpu_count() or 1), 8)), "--dist", "worksteal")
FAILED = 1  # pytest's exit code for it; others tell of a run that did not take place


def run(arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> int:
    """The exit code: 0 if each test passed, at the first time or at the second."""
    code = _pytest(*WORKERS, *arguments, environment=environment)
    if code != FAILED:
        return code
    print(f"\nWhat failed runs once more, alone, if it is {FEW} tests or fewer.", flush=True)
    failed = _last_failed(arguments, environment)
    if not 0 < len(failed) <= FEW:
        return code
    code = _pytest("-p", "no:xdist", *failed, environment=environment)
    if not code:
        print("Passed alone, and failed beside others:", *failed, sep="\n  ", flush=True)
    return code


def _pytest(*arguments: str, environment: Mapping[str, str] | None) -> int:
    kept = dict(environment or os.environ)
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would each compile all they import
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], env=kept).returncode


def _last_failed(arguments: Sequence[str], environment: Mapping[str, str] | None) -> list[str]:
    """Their ids, as pytest's cache has them."""
    only = ("--last-failed", "--last-failed-no-failures", "none", "--collect-only", "--verbosity=-1")
    # Behind the arguments, of which a --quiet would take the ids away.
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", *arguments, *only]
    plain = {name: value for name, value in (environment or os.environ).items() if name != "PYTEST_ADDOPTS"}
    listed = subprocess.run(command, env=plain, capture_output=True, text=True).stdout
    return [line for line in listed.splitlines() if "::" in line]


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
