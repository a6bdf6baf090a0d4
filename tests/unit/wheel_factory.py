"""Makes wheels: real zip files with a right RECORD, and ways to make each part wrong."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.tags import parse_tag

X86_64_TAG = "cp312-cp312-manylinux_2_28_x86_64"


@dataclass(kw_only=True)
class WheelSpec:
    """One wheel; what is None is made to fit the rest."""

    files: Mapping[str, bytes] = field(default_factory=lambda: {"pkg/__init__.py": b""})
    name: str = "pkg"
    version: str = "1.0"
    tag: str = X86_64_TAG
    metadata: str | None = None
    more_metadata: str = ""
    wheel: str | None = None
    entry_points: str = ""
    record: str | None = None
    home: str | None = None
    filename: str | None = None
    left_out: Sequence[str] = ()
    """Files of the `.dist-info` directory that are forgotten."""

    @property
    def dist_info(self) -> str:
        """The name of the `.dist-info` directory."""
        return self.home or f"{self.name}-{self.version}.dist-info"


def contents(spec: WheelSpec) -> dict[str, bytes]:
    """Return every file of the wheel, RECORD last."""
    tags = "".join(f"Tag: {t}\n" for t in sorted(map(str, parse_tag(spec.tag))))
    metadata = f"Metadata-Version: 2.4\nName: {spec.name}\nVersion: {spec.version}\n"
    wheel = f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: false\n{tags}"
    own = {
        "METADATA": spec.metadata or metadata + spec.more_metadata,
        "WHEEL": spec.wheel or wheel,
        **({"entry_points.txt": spec.entry_points} if spec.entry_points else {}),
    }
    files = dict(spec.files)
    files |= {f"{spec.dist_info}/{n}": t.encode() for n, t in own.items() if n not in spec.left_out}
    if "RECORD" not in spec.left_out:
        text = spec.record if spec.record is not None else record(files, spec.dist_info)
        files[f"{spec.dist_info}/RECORD"] = text.encode()
    return files


def record(files: Mapping[str, bytes], home: str) -> str:
    """Return the RECORD of `files`."""
    rows = [f"{name},{hashed(data)},{len(data)}\n" for name, data in files.items()]
    return "".join(rows) + f"{home}/RECORD,,\n"


def hashed(data: bytes, algorithm: str = "sha256") -> str:
    """Return a hash as RECORD writes it."""
    digest = hashlib.new(algorithm, data).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def make_wheel(directory: Path, spec: WheelSpec | None = None) -> Path:
    """Write the wheel that `spec` describes."""
    spec = spec or WheelSpec()
    name = spec.filename or f"{spec.name}-{spec.version}-{spec.tag}.whl"
    return make_zip(directory / name, contents(spec).items())


def make_zip(
    path: Path,
    entries: Iterable[tuple[str | zipfile.ZipInfo, bytes]],
    *,
    compression: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """Write a zip file of exactly these entries."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path
