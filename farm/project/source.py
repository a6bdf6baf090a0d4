"""The files that a build needs: which, from where, and as one stream.

With git, that is the work tree of the project: tracked files, and untracked ones that are not
ignored. Without, or in a directory that its git ignores (an unpacked sdist, say), the closure of
path dependencies. Directories that builds and tools make are never part of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO, cast

from pathspec import GitIgnoreSpec

from farm.model.errors import UsageError
from farm.project import additions, closure, embedded, git, links, packed
from farm.project.additions import Tree, shown
from farm.project.crates import MANIFEST
from farm.project.disk import readable
from farm.project.inspect import Project
from farm.project.packed import Packing

EPOCH = 315532800
"""1980-01-01, the oldest time that a zip archive can hold."""
_BLOCK = 1 << 20
_MANY_FILES, _MANY_BYTES = 50_000, 1 << 30


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """One file or symbolic link."""

    path: str
    """Below the root, with slashes."""
    origin: Path
    mode: int
    """0o755 or 0o644; 0o777 for a link."""
    size: int
    """In bytes; 0 for a link."""
    link: str | None = None
    """What a link points to, always relative."""
    sha256: str = ""
    """Of the content, where it was read already."""
    reads: tuple[embedded.Read, ...] = ()
    """What a Rust source reads as it is compiled."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """The files of a project, its workspace and its path dependencies below one root."""

    root: Path
    files: tuple[SourceFile, ...]
    """Sorted by the bytes of their paths."""
    project: str
    """The project's directory below the root, with slashes; `.` for the root itself."""
    top: Path | None
    """The git top level that the files are of, None where git was not asked."""
    warnings: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """The sum of the files' sizes."""
        return sum(file.size for file in self.files)

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """The sha256 of each file's content, in the order of `files`; a link's is its target's.

        Raises UsageError when a file can't be read.
        """
        return tuple(_sha256(file) for file in self.files)

    @cached_property
    def digest(self) -> str:
        """The sha256 of all paths, modes and contents: what the source is, wherever it lies."""
        whole = hashlib.sha256()
        for file, content in zip(self.files, self.hashes, strict=True):
            kind = "link" if file.link is not None else "file"
            whole.update(os.fsencode(file.path) + f"\0{kind} {file.mode:o} {content}\n".encode())
        return whole.hexdigest()

    def write_tar(self, stream: IO[bytes], *, mtime: int) -> None:
        """Write the files to `stream` as a tar archive, without seeking in it.

        Owner is 0, every time `mtime`, the order that of `files`: the same source gives the same
        bytes. Raises UsageError when a file can't be read, or is not what `hashes` says any more:
        wheels are named by that in the cache.
        """
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for directory in _directories(self.files):
                archive.addfile(_header(directory, tarfile.DIRTYPE, 0o755, mtime))
            for file, content in zip(self.files, self.hashes, strict=True):
                _add(archive, file, content, mtime)


@readable()
def collect(project: Project, exclude: Iterable[str] = (), include: Iterable[str] = ()) -> Source:
    """Return the source of `project` without what `exclude` matches.

    Of what git ignores, that goes in which manifests name, which maturin packs, or which `include`
    matches. Both hold patterns as in .gitignore, below the root or the project's directory. The
    manifests, the lock and pyproject.toml always go in. Raises UsageError when git refuses to
    look, a pattern is none, nothing common holds the path dependencies, or maturin would stumble
    over a link or a name.
    """
    tree, packing, pruner = _listed(project), packed.packing(project), closure.Pruner(project)
    needed = {project.pyproject.file, project.lock, *_manifests(project)}
    excluded = _Excluded(
        exclude, project.root, _common_root(project, tree.top, tree.files | needed)
    )
    added = additions.find(project, packing, tree, include=include, excluded=excluded)
    root = _common_root(project, tree.top, tree.files | needed | added.files)
    wanted = needed | {path for path in tree.files | added.files if not excluded(path)}

    def is_made(path: Path) -> bool:
        return pruner.made(path, tree.top)

    files, lines = _files(root, wanted, packing, added.packed, is_made)
    lines += [*_unlisted(tree.top, needed - tree.files), *added.lines]
    scan = embedded.Scan(
        root=root,
        crates=project.directories,
        sent=[file.origin for file in files],
        is_made=is_made,
        excluded=excluded,
    )
    reads = [(file.origin, file.reads) for file in files if file.reads]
    source = Source(
        root=root,
        files=files,
        project=project.root.relative_to(root).as_posix(),
        top=tree.top,
        warnings=(*lines, *embedded.warnings(scan, reads, tree)),
    )
    return _with_size_warning(source)


def _files(
    root: Path,
    wanted: set[Path],
    packing: Packing,
    named: set[Path],
    is_made: Callable[[Path], bool],
) -> tuple[tuple[SourceFile, ...], list[str]]:
    """Return what is sent of the paths `wanted`, and a line for each link that leads amiss.

    What maturin packs is that of `packing` and `named`.
    """

    def is_packed(path: Path) -> bool:
        return packing.holds(path) or path in named

    files = [file for path in wanted if (file := _file(path, root)) is not None]
    linked = [file for file in files if file.link is not None]
    links.check_packed(
        [file.origin for file in files if is_packed(file.origin)],
        [file.origin for file in linked],
        root,
        packing.data,
    )
    out = sorted(file.origin for file in linked if not file.link)
    here = [file.origin for file in linked if file.link]
    followed = links.follow(here, wanted, root, packed=is_packed, made=is_made)
    if dropped := followed.useless.union(out):
        files = [file for file in files if file.origin not in dropped]
    files += filter(None, (_file(path, root) for path in followed.targets - wanted))
    lines = [f"left out: the link {shown(path, root)} leads out of {root}" for path in out]
    return _without_link_parents(sorted(files, key=_by_path)), [*lines, *followed.lines]


def _by_path(file: SourceFile) -> bytes:
    return os.fsencode(file.path)


def source_date_epoch(source: Source) -> int:
    """Return SOURCE_DATE_EPOCH: when git's last commit was made, else 1980-01-01."""
    found = git.last_commit_time(source.top) if source.top is not None else None
    return max(found or EPOCH, EPOCH)


def last_commit(source: Source) -> str:
    """Return the hash of git's last commit, or an empty string without one."""
    return (git.last_commit(source.top) or "") if source.top is not None else ""


def _listed(project: Project) -> Tree:
    """Return the files of git's work tree, or without it the closure of path dependencies."""
    top = git.top_level(project.root)
    if top is None:
        return Tree(files=frozenset(closure.files(project)), top=None)
    try:
        listing = git.list_files(top)
    except git.GitFailedError as error:
        raise UsageError(
            f"git can't list the files of {top}: {error}", "Repair the repository, or copy it."
        ) from None
    pruner = closure.Pruner(project)
    tracked = {top / path for path in listing.tracked}
    loose = {top / path for path in listing.untracked if not pruner.file(top / path)}
    if project.pyproject.file not in tracked | loose:
        return Tree(files=frozenset(closure.files(project)), top=None)
    listed = {p for p in tracked if not pruner.always(p)}
    listed |= {p for p in loose if not pruner.untracked(p, top)}
    return Tree(
        files=frozenset(listed.union(closure.files_beside(project, listed))),
        top=top,
        ignored=tuple(top / path for path in listing.ignored),
    )


def _manifests(project: Project) -> Iterator[Path]:
    for directory in project.directories:
        yield directory.resolve() / MANIFEST


def _common_root(project: Project, top: Path | None, paths: Iterable[Path]) -> Path:
    places = {project.root, *(path.parent for path in paths), *((top,) if top else ())}
    root = Path(os.path.commonpath(places))
    if root == Path(root.anchor):
        raise UsageError(
            f"what {project.name} is made from lies below {root} and nothing nearer",
            "Put its path dependencies below one directory with it.",
        )
    return root


def _without_link_parents(files: list[SourceFile]) -> tuple[SourceFile, ...]:
    """Drop what git still tracks below a directory that has become a link."""
    linked = {PurePosixPath(file.path) for file in files if file.link is not None}
    if not linked:
        return tuple(files)
    return tuple(f for f in files if linked.isdisjoint(PurePosixPath(f.path).parents))


class _Excluded:
    """Whether the user's patterns leave a file out."""

    def __init__(self, patterns: Iterable[str], *places: Path) -> None:
        try:
            self._spec = GitIgnoreSpec.from_lines(patterns)
        except ValueError as error:
            raise UsageError(
                f"source.exclude holds no pattern: {error}", "Write it as in .gitignore."
            ) from None
        self._places = places

    def __call__(self, path: Path) -> bool:
        return bool(self._spec) and any(
            self._spec.match_file(path.relative_to(place).as_posix())
            for place in self._places
            if path.is_relative_to(place)
        )


def _file(path: Path, root: Path) -> SourceFile | None:
    """Return the entry of `path`; None for what is gone or no file.

    That of a link that leads out of `root` has an empty `link`.
    """
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    relative = str(path).removeprefix(f"{root}/")
    if stat.S_ISLNK(status.st_mode):
        link = _link(path, root) or ""
        return SourceFile(path=relative, origin=path, mode=0o777, size=0, link=link)
    if not stat.S_ISREG(status.st_mode):
        return None
    mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    file = SourceFile(path=relative, origin=path, mode=mode, size=status.st_size)
    return _rust(file) if relative.endswith(".rs") else file


def _rust(file: SourceFile) -> SourceFile:
    """Return `file` with what it reads, and its hash, so that it is not read once more for it."""
    try:
        data = file.origin.read_bytes()
    except OSError:
        return file  # told where the content of all is hashed
    return replace(file, sha256=hashlib.sha256(data).hexdigest(), reads=embedded.reads(data))


def _link(path: Path, root: Path) -> str | None:
    """Return where the link `path` leads, relative to it, or None when that is out of `root`."""
    target = os.readlink(path)  # noqa: PTH115 - a Path would drop what is odd in it
    if not Path(os.path.realpath(path)).is_relative_to(root.resolve()):
        return None
    if Path(target).is_absolute():
        return os.path.relpath(os.path.realpath(path), path.parent.resolve())
    lexical = Path(os.path.normpath(path.parent.relative_to(root) / target))
    return None if lexical.parts[:1] == ("..",) else target


def _unlisted(top: Path | None, missing: set[Path]) -> Iterator[str]:
    if top is None:
        return
    for path in sorted(missing):
        if path.is_file() and path.is_relative_to(top):
            yield f"git ignores {path.relative_to(top)}; it goes in all the same: commit it"


def _with_size_warning(source: Source) -> Source:
    count, size = len(source.files), source.total_bytes
    if count <= _MANY_FILES and size <= _MANY_BYTES:
        return source
    line = (
        f"the source is {count} files, {size / (1 << 20):.0f} MiB:"
        " leave out with source.exclude in [tool.farm] what no build needs"
    )
    return Source(
        root=source.root,
        files=source.files,
        project=source.project,
        top=source.top,
        warnings=(*source.warnings, line),
    )


def _unreadable(file: SourceFile, error: OSError) -> UsageError:
    return UsageError(
        f"{file.origin} can't be read: {error.strerror or error}",
        "Make it readable, or leave it out with source.exclude in [tool.farm].",
    )


def _sha256(file: SourceFile) -> str:
    if file.sha256:
        return file.sha256
    if file.link is not None:
        return hashlib.sha256(os.fsencode(file.link)).hexdigest()
    found = hashlib.sha256()
    try:
        with file.origin.open("rb") as stream:
            while block := stream.read(_BLOCK):
                found.update(block)
    except OSError as error:
        raise _unreadable(file, error) from None
    return found.hexdigest()


def _directories(files: Iterable[SourceFile]) -> list[str]:
    found = {p.as_posix() for f in files for p in PurePosixPath(f.path).parents}
    return sorted(found - {"."}, key=os.fsencode)


def _header(name: str, kind: bytes, mode: int, mtime: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.mode, header.mtime = kind, mode, mtime
    return header


class _Hashed:
    """A stream that keeps the sha256 of what is read of it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """Read as the stream does."""
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    @property
    def sha256(self) -> str:
        """The hash of what was read by now, in hexadecimal."""
        return self._hash.hexdigest()


def _add(archive: tarfile.TarFile, file: SourceFile, content: str, mtime: int) -> None:
    """Add `file`, whose hash is `content`."""
    if file.link is not None:
        header = _header(file.path, tarfile.SYMTYPE, file.mode, mtime)
        header.linkname = file.link
        archive.addfile(header)
        return
    header = _header(file.path, tarfile.REGTYPE, file.mode, mtime)
    header.size = file.size
    try:
        with file.origin.open("rb") as stream:
            hashed = _Hashed(stream)
            archive.addfile(header, cast("IO[bytes]", hashed))
            same = not stream.read(1) and hashed.sha256 == content
    except OSError as error:
        if error.errno is not None:
            raise _unreadable(file, error) from None
        same = False  # tarfile found it shorter than its header says
    if not same:
        raise UsageError(f"{file.origin} changed while it was read", "Run it again.")
