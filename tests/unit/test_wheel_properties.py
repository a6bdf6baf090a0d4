"""Whatever the bytes are, the answer is a value or the one error that is meant for it."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from elf_factory import X86_64_V3, extension
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wheel_factory import X86_64_TAG, WheelSpec, make_wheel

from farm.model.targets import Arch, Interpreter, Target
from farm.wheels.archive import read_wheel
from farm.wheels.audit import audit
from farm.wheels.contents import Contents
from farm.wheels.elf import ElfError, initialises, read_elf
from farm.wheels.errors import WheelError

BOUNDED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
NAME = f"pkg-1.0-{X86_64_TAG}.whl"
LIBRARY = extension(
    "_x",
    versions={("libc.so.6", "GLIBC_2.28"): ["fcntl64"], ("libm.so.6", "GLIBC_2.29"): ["exp"]},
    runpath="$ORIGIN/../pkg.libs",
    undefined=["PyList_New"],
    isa=X86_64_V3,
)
TARGET = Target(interpreter=Interpreter(minor=12), arch=Arch.X86_64)


def _sound_wheel() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        spec = WheelSpec(
            files={"pkg/__init__.py": b"", "pkg/_x.cpython-312-x86_64-linux-gnu.so": LIBRARY},
            entry_points="[console_scripts]\nrun = pkg:main\n",
        )
        return make_wheel(Path(directory), spec).read_bytes()


WHEEL = _sound_wheel()


def mutations(data: bytes) -> st.SearchStrategy[bytes]:
    """Return `data` with some bytes changed, a piece cut out, or something put in."""
    places = st.integers(0, len(data) - 1)
    changes = st.lists(st.tuples(places, st.binary(min_size=1, max_size=8)), max_size=6)

    def change(edits: list[tuple[int, bytes]], cut: int, size: int, inserted: bytes) -> bytes:
        changed = bytearray(data)
        for place, new in edits:
            changed[place : place + len(new)] = new
        if size:
            changed[cut : cut + size] = inserted
        return bytes(changed)

    sizes = st.sampled_from([0, 0, 0, 1, 50])
    return st.builds(change, changes, places, sizes, st.binary(max_size=50))


@BOUNDED
@given(mutations(WHEEL))
def test_a_damaged_archive_is_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, NAME)
        path.write_bytes(data)
        with suppress(WheelError):
            audit(path, TARGET)


@BOUNDED
@given(
    st.one_of(st.none(), st.text(max_size=200)),
    st.one_of(st.none(), st.text(max_size=200)),
    st.text(max_size=100),
    st.one_of(st.none(), st.text(max_size=200)),
)
def test_odd_texts_under_a_right_record_are_read_or_refused(
    metadata: str | None, wheel: str | None, entry_points: str, record: str | None
) -> None:
    spec = WheelSpec(metadata=metadata, wheel=wheel, entry_points=entry_points, record=record)
    with tempfile.TemporaryDirectory() as directory, suppress(WheelError):
        read_wheel(make_wheel(Path(directory), spec))


@BOUNDED
@given(mutations(LIBRARY))
def test_a_damaged_library_is_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "x.so")
        path.write_bytes(data)
        with suppress(ElfError):
            read_elf(Path(directory), "x.so")
        with path.open("rb") as stream:
            assert initialises(stream, "_x") in {True, False}


@BOUNDED
@given(st.lists(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4), max_size=8))
def test_any_file_list_has_modules_with_names(paths: list[list[str]]) -> None:
    files = tuple("/".join(parts) for parts in paths)
    tree = Contents(files=files, stem="p-1")
    for name in (*tree.modules(), *(e.module for e in tree.extensions(frozenset(files)))):
        assert all(part.isidentifier() for part in name.split("."))
