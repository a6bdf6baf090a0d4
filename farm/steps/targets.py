"""Cargo's target directories: one volume a job, which the next run of the job finds again.

A job has its own, since interpreters evict each other's PyO3, maturin puts the libraries of all
targets into one file, and jobs can then be compiled side by side. One that is new is filled from
another job's, as far as that can be of use: build scripts and procedural macros are compiled once
for all, and what does not depend on PyO3 once for each architecture.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace

from farm.bases.recipes import digest
from farm.engine.containers import Cancelled, Container, Mount, Spec
from farm.model.errors import FarmError, JobError, SurroundingsError
from farm.model.failures import Cause
from farm.model.plan import TARGET, Command
from farm.project.source import Source
from farm.project.stamps import Stamps, read_stamps, stamped, stamps_text
from farm.steps.context import Context, Shared, archive
from farm.steps.received import received

_PLACE = "/targets"
_DEADLINE = 1800.0
_WATCHED = 1500
"""Seconds for which a build is watched: less than after which the container would be ended."""
_SHOWN = 500
"""Characters of an error's end that are told."""
_STAMPS = "sources.json"
"""Beside the crates: builds can read it, and nothing but the farm write."""
_PREPARE = """
set -euo pipefail
generation=$2 seed=$3 leave=$4 last=$5
cd "$1"
if [ "$(cat ready 2>/dev/null)" != "$generation" ]; then
  find . -mindepth 1 -delete
  older=()
  if [ -e "$seed/began" ]; then
    begun=$(find "$seed" -path "*/$last" -newer "$seed/began" -printf '%T@ %p\\n')
    begun=$(sort --numeric-sort <<< "$begun" | sed -n '1s/^[^ ]* //p')
    if [ -n "$begun" ]; then older=('(' -type d -o ! -newer "$begun" ')'); fi
  fi
  for each in ${seed:+"$seed"/*/}; do
    [ -d "$each" ] || continue
    mkdir "$(basename "$each")"
    (
      cd "$each"
      find . -mindepth 1 '(' -path ./maturin -o -path "./${leave:-maturin}" ')' -prune \\
        -o "${older[@]}" -print0 \\
        | tar --create --format=posix --ignore-failed-read --no-recursion --null --files-from=- \\
        || [ $? = 1 ]
    ) | tar --extract --directory="$(basename "$each")"
  done
  rm -f ready
  printf %s "$generation" > ready
fi
if [ ! -e sound ]; then
  find . -path '*-unknown-linux-gnu/*/deps/*.so' -delete
fi
rm -f sound began
touch began
"""
"""`ready` is written last: a directory that was only half filled is filled anew. `sound` is there
where the last build ended well and left cargo's libraries as they were: maturin repairs a wheel's
library in place, and with it cargo's, which is the same file. `began` has the time of the last
build. None is written through a link that a build may have put in its place.

The seed may be built in meanwhile, if that compiles its last crate: what is newer than cargo's
call for it is left out, and what vanishes was that crate's (1 is what tar and find then return)."""
_LAST_BEGAN = """
cd "$1"
while ((SECONDS < $3)); do
  for each in ./*/$2; do
    if [ "$each" -nt began ]; then exit; fi
  done
  sleep 0.3
done
exit 1
"""
_READY = """
generation=$1; shift
for each; do
  if [ "$(cat "$each/ready" 2>/dev/null)" = "$generation" ]; then echo "$each"; fi
done
"""
_HAVE = 'if [ "$(cat "$1/fetched" 2>/dev/null)" = "$2" ]; then echo yes; fi'
_KEEP = 'printf %s "$2" > "$1/fetched"'
"""Beside the crates, to which nothing but the fetch writes."""
_FORGET = 'for each; do rm -f "$each/ready"; done'
_INVOKED = "*-linux-gnu/*/.fingerprint/{crate}-{hash}/invoked.timestamp"
"""What cargo writes when it calls rustc for a crate, in a target directory below its profile. One
that links, as what maturin builds does, it calls rustc for once all that it depends on is there."""
_APPROVE = 'rm -f "$1/sound"; touch "$1/sound"'
_MEASURE = 'du --summarize --block-size=1 "$@"'
_COPY = ("cp", "--archive", "/from/.", "/to")


@dataclass(frozen=True, kw_only=True)
class Seed:
    """What a job's new target directory is filled from."""

    volume: str
    leave: str = ""
    """The triple whose units are of no use to the job: those of another architecture."""


@dataclass(kw_only=True)
class Targets:
    """The target directories of one run's jobs, and a container that gets them ready."""

    context: Context
    shared: Shared
    volumes: Mapping[str, str]
    """By job."""
    others: tuple[str, ...] = ()
    """More target directories of the project, of jobs that are not of the run."""
    generation: str = ""
    """What a directory is of that tells something about the run's sources; see `Stamps`.

    It is also of one environment of the settings: build scripts need not say what they read of it.
    """
    seeds: Mapping[str, Seed] = field(default_factory=dict)
    """By job; none for one that begins with nothing, unless its own directory has something."""
    crate: str = ""
    """The package that maturin builds; empty where others may still be compiled beside it."""
    leaders: Mapping[str, Future[None]] = field(default_factory=dict)
    """By job that others begin with, what ends when they can: all but the last crate is there."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: ExitStack = field(default_factory=ExitStack)
    _container: Container | None = None

    def stamp(self, source: Source, now: float) -> Stamps:
        """Return the times of the source's files, sent `now`, and write them down.

        Raises SurroundingsError when the engine can't, UsageError when a file can't be read.
        """
        container, place = self._started(), _path(self.shared.cargo)
        try:
            with container.get(f"{place}/{_STAMPS}") as found, received(found) as files:
                before = next((read_stamps(file.content.read()) for file in files), None)
        except JobError:  # none yet
            before = None
        stamps = stamped(source, before, now)
        container.put(place, archive({_STAMPS: stamps_text(stamps)}))
        environment = digest(dict(self.context.settings.environment))
        self.generation = f"{stamps.generation}-{environment}"
        return stamps

    def ready(self) -> frozenset[str]:
        """Return the volumes of which the directory has something of use to this run."""
        places = {_path(volume): volume for volume in self._directories()}
        return frozenset(places[path] for path in self._run(_READY, self.generation, *places))

    def have(self, crates: str) -> bool:
        """Tell whether what an earlier run fetched are the same crates; see `keep`."""
        return bool(self._run(_HAVE, _path(self.shared.cargo), crates))

    def keep(self, crates: str) -> None:
        """Say that the crates were fetched, all of those that the hash `crates` stands for."""
        self._run(_KEEP, _path(self.shared.cargo), crates)

    def forget(self, volumes: Iterable[str]) -> None:
        """Have the directories in `volumes` begin anew when they are got ready."""
        self._run(_FORGET, *map(_path, volumes))

    def prepare(self, job: str) -> None:
        """Get the directory of `job` ready for a build, which is to begin now.

        Raises SurroundingsError when the engine can't.
        """
        seed = self.seeds.get(job)
        place = _path(seed.volume) if seed else ""
        leave = seed.leave if seed else ""
        own = _path(self.volumes[job])
        self._run(_PREPARE, own, self.generation, place, leave, self._invoked)
        if self.crate and job in self.leaders:
            threading.Thread(target=self._watch, args=(job,), daemon=True).start()

    def ended(self, job: str) -> None:
        """Say that the build of `job` has ended, well or not: whoever waits for it may begin."""
        if job in self.leaders:
            with suppress(InvalidStateError):  # they have begun
                self.leaders[job].set_result(None)

    def _watch(self, job: str) -> None:
        """Wait until `job` compiles its last crate; what goes wrong only costs that time."""
        words = (_path(self.volumes[job]), self._invoked, str(_WATCHED))
        argv = ("bash", "-c", _LAST_BEGAN, "farm", *words)
        with suppress(FarmError, Cancelled):
            if self._started().execute(argv, lambda _: None).code == 0:
                self.ended(job)

    @property
    def _invoked(self) -> str:
        return _INVOKED.format(crate=self.crate, hash="[0-9a-f]" * 16)

    def approve(self, job: str) -> None:
        """Say that the last build of `job` left its directory as cargo made it."""
        self._run(_APPROVE, _path(self.volumes[job]))

    def sizes(self) -> dict[str, int]:
        """Return the bytes that each volume holds, by its name."""
        places = {_path(volume): volume for volume in self._all()}
        told = (line.split(maxsplit=1) for line in self._run(_MEASURE, *places))
        return {places[path]: int(size) for size, path in told}

    def detached(self, spec: Spec, job: str) -> Spec:
        """Return `spec` with a copy of the target directory of `job`, where later runs use it.

        Raises SurroundingsError where there is no room for it.
        """
        if not self.shared.cache:
            return spec
        workshop = self.context.workshop
        own = Mount(volume=workshop.volume(f"{job}-target"), path=TARGET)
        shared = Mount(volume=self.volumes[job], path="/from", cache=self.shared.cache)
        both = (replace(shared, read_only=True), replace(own, path="/to"))
        copy = self.context.spec(
            Command(image=self.context.builder, arch=self.context.engine_arch, argv=_COPY, cwd="/"),
            mounts=both,
            deadline=_DEADLINE,
        )
        lines: list[str] = []
        with workshop.container(copy) as container:
            ended = container.run(lines.append)
        if ended.code:
            workshop.drop(own.volume)
            text = " ".join(lines)[-_SHOWN:]
            raise _unfit(f"the job is not kept, its target directory can't be copied: {text}")
        others = (mount for mount in spec.mounts if mount.path != TARGET)
        return replace(spec, mounts=(*others, own))

    def close(self) -> None:
        """Remove the container."""
        with self._lock:
            self._container = None
            self._open.close()

    def _directories(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.volumes.values(), *self.others)))

    def _all(self) -> tuple[str, ...]:
        return (*self._directories(), self.shared.cargo, self.shared.linker)

    def _run(self, script: str, *words: str) -> list[str]:
        """Run a script, which may be run again; return what it said."""
        lines: list[str] = []
        argv = ("bash", "-c", script, "farm", *words)
        try:
            ended = self._started().execute(argv, lines.append)
        except SurroundingsError:
            self.close()  # it went with its engine, or somebody removed it: the next is a new one
            ended = self._started().execute(argv, lines.append)
        if ended.code:
            text = " ".join(lines)[-_SHOWN:]
            raise _unfit(f"target directories could not be got ready: {text}")
        return lines

    def _started(self) -> Container:
        with self._lock:
            if self._container is None:
                found = self._open.enter_context(self.context.workshop.container(self._spec()))
                found.start()
                self._container = found
            return self._container

    def _spec(self) -> Spec:
        command = Command(
            image=self.context.builder,
            arch=self.context.engine_arch,
            argv=("sleep", "infinity"),
            cwd="/",
        )
        mounts = tuple(
            Mount(volume=volume, path=_path(volume), cache=self.shared.cache)
            for volume in self._all()
        )
        return self.context.spec(command, mounts=mounts, deadline=_DEADLINE)


def _unfit(text: str) -> SurroundingsError:
    return SurroundingsError(
        text,
        "Make room where the engine keeps its data, or begin anew with --force.",
        cause=Cause.ROOM if "No space left" in text else None,
    )


def _path(volume: str) -> str:
    return f"{_PLACE}/{volume}"
