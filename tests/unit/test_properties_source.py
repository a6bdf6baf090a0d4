"""Files of any name go into the archive as they are on the disk, and nothing else does."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_projects import SIMPLE, write

from farm.project.inspect import inspect
from farm.project.source import collect

PART = (
    st.one_of(
        st.binary(min_size=1, max_size=12),
        st.text(min_size=1, max_size=6).map(lambda text: text.encode("utf-8", "replace")),
        st.sampled_from([b"-x", b"{wheel}", b"a b", b"a\nb", b"\x1b[2J", b"\xff", b"x" * 200]),
    )
    .map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))
    .filter(lambda name: name not in (b".", b".."))
    # Without these, which are names of what tools make.
    .map(lambda name: b"n" + name if name != b"-x" else name)
    .filter(lambda name: not name.endswith((b".pyc", b".pyd", b".so")))
)
PATHS = st.lists(st.lists(PART, min_size=1, max_size=3), max_size=5)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(PATHS)
def test_every_name_arrives_as_it_is(paths: list[list[bytes]]) -> None:
    with TemporaryDirectory() as directory:
        root = write(Path(directory), SIMPLE)
        made = set(SIMPLE)
        for number, parts in enumerate(paths):
            place = Path(root, os.fsdecode(b"d%d" % number), *map(os.fsdecode, parts))
            place.parent.mkdir(parents=True)
            place.write_bytes(b"content")
            made.add(place.relative_to(root).as_posix())
        source = collect(inspect(root))
        stream = io.BytesIO()
        source.write_tar(stream, mtime=1)
    stream.seek(0)
    with tarfile.open(fileobj=stream, errors="surrogateescape") as archive:
        names = [member.name for member in archive if member.isreg()]
        assert all(not name.startswith(("/", "../")) for name in names)
    assert set(names) == {file.path for file in source.files} == made
    assert len(names) == len(made)
