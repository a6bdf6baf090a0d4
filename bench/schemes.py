"""Measures ways to compile one crate for several interpreters and architectures only once.

    .venv/bin/python bench/schemes.py [--py 3.11 --py 3.13 --py 3.14] [--rounds 1]

Each scheme builds the same wheels of `crate/`, one after the other, by the farm's own commands, and
gets its target directories ready in its own way; the time for that counts. Prints a table of
medians; beside the seconds, how many crates were compiled, and whether the directory that others
began with was still what it had been. See README.md beside this.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from lab import Failed, Lab, building, environment, open_lab  # noqa: E402 - beside the tests

from farm.model.plan import TARGET  # noqa: E402
from farm.model.targets import Arch  # noqa: E402

FIRST = f"{TARGET}/0"
_HASHES = f"cd {FIRST} && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum"
_INDEPENDENT = ("neardup-core",)
"""What `crate/` depends on that does not depend on PyO3."""


@dataclass(kw_only=True)
class Site:
    """Where one scheme is at work, and what that took by now."""

    lab: Lab
    log: Path
    options: tuple[str, ...]
    seconds: float = 0
    first: str = ""
    """The hash of the first directory after its own build."""

    def run(self, image: str, argv: Sequence[str], *words: str) -> None:
        """Run a command in a container, in time that counts."""
        arch = Arch.parse(image.rpartition("-")[2])
        platform = f"--platform={arch.platform}"
        reference = self.lab.image(image)
        ran = self.lab.container(reference, argv, self.log, platform, *self.options, *words)
        self.seconds += ran.seconds

    def shell(self, script: str) -> None:
        """Run a script beside the target directories."""
        self.run(f"builder-{Arch.X86_64}", ("bash", "-euc", script))

    def build(self, job: Any, directory: str) -> None:
        """Build the wheel of `job` in a target directory."""
        command = job["build"]["command"]
        place = f"--env=CARGO_TARGET_DIR={directory}"
        self.run(command["image"], command["argv"], *environment(command), place)
        self.first = self.first or self.hash()

    def hash(self) -> str:
        """Return the hash of all that the first directory holds, in time that does not count."""
        out = self.lab.directory() / "hash"
        image = self.lab.image(f"builder-{Arch.X86_64}")
        self.lab.container(image, ("bash", "-euc", _HASHES), out, *self.options)
        return out.read_text().splitlines()[-1]


def from_nothing(site: Site, jobs: Sequence[Any]) -> None:
    """A directory each, empty."""
    for number, job in enumerate(jobs):
        site.build(job, f"{TARGET}/{number}")


def in_sequence(site: Site, jobs: Sequence[Any]) -> None:
    """One directory for all."""
    for job in jobs:
        site.build(job, FIRST)


def seeded(site: Site, jobs: Sequence[Any], *, copy: str) -> None:
    """A directory each, begun by `copy` with what the first one has of use."""
    first: dict[str, str] = {}
    for number, job in enumerate(jobs):
        arch, directory = job["target"]["arch"], f"{TARGET}/{number}"
        if first:
            site.shell(f"{copy} {first.get(arch, FIRST)} {directory}")
        site.build(job, directory)
        first.setdefault(arch, directory)


def warmed(site: Site, jobs: Sequence[Any]) -> None:
    """A directory each, copied from one for each architecture that has what needs no PyO3."""
    warm: dict[str, str] = {}
    for number, job in enumerate(jobs):
        command = job["build"]["command"]
        arch = job["target"]["arch"]
        if arch not in warm:
            warm[arch] = f"{TARGET}/warm-{arch}"
            if len(warm) > 1:
                site.shell(f"cp --archive {TARGET}/warm-{Arch.X86_64} {warm[arch]}")
            argv = ["cargo", "build", "--release", "--locked", "--offline"]
            argv += ["--target", Arch(arch).triple]
            argv += [word for name in _INDEPENDENT for word in ("--package", name)]
            place = f"--env=CARGO_TARGET_DIR={warm[arch]}"
            site.run(command["image"], argv, *environment(command), place)
        site.shell(f"cp --archive {warm[arch]} {TARGET}/{number}")
        site.build(job, f"{TARGET}/{number}")


SCHEMES: dict[str, Callable[[Site, Sequence[Any]], None]] = {
    "a directory each, from nothing": from_nothing,
    "one directory in sequence": in_sequence,
    "a directory each, copied from the first one's": lambda s, j: seeded(s, j, copy="cp -a"),
    "the same, by hard links": lambda s, j: seeded(s, j, copy="cp -al"),
    "the same, by reflinks": lambda s, j: seeded(s, j, copy="cp -a --reflink=always"),
    "a warming job for each architecture, copied": warmed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--py", action="append", help="by default 3.11, 3.13 and 3.14")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    pythons = options.py or ["3.11", "3.13", "3.14"]
    results = ROOT / "bench" / "results" / "schemes"
    results.mkdir(parents=True, exist_ok=True)
    print("| scheme | seconds | crates compiled | what others began with |")
    print("| --- | --- | --- | --- |")
    with open_lab() as lab:
        for number, (name, scheme) in enumerate(SCHEMES.items()):
            log = results / f"{number}.log"
            log.unlink(missing_ok=True)
            try:
                rounds = [measure(lab, scheme, pythons, log) for _ in range(options.rounds)]
            except Failed as fault:
                print(f"| {name} | {_last(log) or fault} | | |", flush=True)
                continue
            seconds = median(seconds for seconds, _ in rounds)
            compiled = len(re.findall(r"^ +Compiling ", log.read_text(), re.MULTILINE))
            state = "unchanged" if all(same for _, same in rounds) else "changed"
            print(
                f"| {name} | {seconds:.0f} | {compiled // options.rounds} | {state} |", flush=True
            )


def measure(
    lab: Lab, scheme: Callable[[Site, Sequence[Any]], None], pythons: Sequence[str], log: Path
) -> tuple[float, bool]:
    """Return the seconds that `scheme` took, and whether the first directory stayed as it was."""
    project = lab.copy(ROOT / "crate", "crate")
    words = [word for version in pythons for word in ("--py", version)]
    jobs = lab.plan(project, *words)["jobs"]
    jobs.sort(key=lambda job: bool(job["target"]["arch"] != Arch.X86_64))
    image = lab.image(f"builder-{Arch.X86_64}")
    mounts = building(project, lab.directory(), lab.volume("target", empty=True))
    options = (lab.crates(project, image, log), lab.linker_cache(image, log, anew=True), *mounts)
    site = Site(lab=lab, log=log, options=options)
    scheme(site, jobs)
    return site.seconds, site.hash() == site.first


def _last(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else ""


if __name__ == "__main__":
    main()
