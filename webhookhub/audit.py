"""`make audit`: known holes in what is pinned, risky idioms in our code, and licences that would bind us.

Exit code: 0 nothing was found; 1 something was, and is named; 2 nothing was found, but the advisories could not be
reached, so that nobody knows of the holes. OSV_URL is where they are asked for, api.osv.dev unless set.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.txt", "requirements-dev.txt")
OSV_URL = "https://api.osv.dev/v1/query"
FOUND, UNKNOWN = 1, 2

# Those that ask for no more than a notice, or (the LGPL and the MPL) for changes of the library itself.
FREE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|LGPL|Lesser General Public|"
    r"Zlib|0BSD|Unlicense|CC0|HPND)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Pin:
    """One requirement of a lock file, and how many hashes it may have."""

    name: str
    version: str
    hashes: int


class OutOfReach(Exception):
    """The advisories; `str()` of it says why."""


def pins(lock: Path) -> Iterator[Pin]:
    """What is pinned there. Raises ValueError for a requirement without an exact version."""
    text = lock.read_text().replace("\\\n", " ")
    for line in text.splitlines():
        line = line.partition(" #")[0].strip()
        if not line or line.startswith("#"):
            continue
        found = re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line)
        if not found:
            raise ValueError(f"{lock.name}: {line.split()[0]} has no exact version.")
        yield Pin(*found.groups(), hashes=line.count("--hash=sha256:"))


def without_hash(locks: list[Path]) -> list[str]:
    return [
        f"{lock.name}: {pin.name} {pin.version} has no hash."
        for lock in locks
        for pin in pins(lock)
        if not pin.hashes
    ]


def licence_of(name: str) -> str:
    """As its own metadata say; empty where they say nothing, or it is not installed on this platform."""
    try:
        about = metadata(name)
    except PackageNotFoundError:
        return ""
    classifiers = [
        c.rpartition(" :: ")[2] for c in about.get_all("Classifier", []) if c.startswith("License ::")
    ]
    first_line = (about.get("License") or "").strip().partition("\n")[0]
    return about.get("License-Expression") or ", ".join(classifiers) or first_line


def bound_by_licence(lock: Path) -> list[str]:
    """Only of what production installs, and what is installed here."""
    known = {pin.name: licence_of(pin.name) for pin in pins(lock)}
    return [
        f"{name}: its licence is {licence}."
        for name, licence in known.items()
        if licence and not FREE.search(licence)
    ]


def holes(lock: Path) -> list[str]:
    """The advisories about what is pinned there. Raises OutOfReach."""
    url = os.environ.get("OSV_URL", OSV_URL)
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes", "--disable-pip"),
        *(
            "--vulnerability-service",
            "osv",
            "--osv-url",
            url,
            "--format",
            "json",
            "--progress-spinner",
            "off",
        ),
    ]
    ran = subprocess.run(command, capture_output=True, text=True)
    try:
        dependencies = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = ran.stderr.strip().splitlines() or ["it says nothing"]
        raise OutOfReach(said[-1][:300]) from None
    return [
        f"{found['name']} {found['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'no version yet'}. "
        f"{hole['description'][:200]}"
        for found in dependencies
        for hole in found.get("vulns", [])
    ]


def main() -> int:
    locks = [BASE_DIR / name for name in LOCKS]
    found: list[str] = without_hash(locks) + bound_by_licence(locks[0])
    print(f"Hashes and licences: {len(found) or 'nothing'} found.", *found, sep="\n", flush=True)
    ruff = subprocess.run([sys.executable, "-m", "ruff", "check", "--select", "S", str(BASE_DIR)])
    print(f"Ruff's security rules: {'see above' if ruff.returncode else 'nothing found'}.", flush=True)
    unknown = False
    try:
        known = holes(locks[-1])  # which holds all of the other's
        print(f"Advisories: {len(known) or 'nothing'} found.", *known, sep="\n")
        found += known
    except OutOfReach as error:
        unknown = True
        print(
            f"ADVISORIES OUT OF REACH: known holes were NOT looked for ({error}). Run it again where they can be reached."
        )
    return FOUND if found or ruff.returncode else UNKNOWN if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
