"""Feed damaged input to every reader: `.venv/bin/python bench/fuzz.py --seconds 600`.

Mutation from sound seeds, with words that matter to the formats, and no coverage feedback: a
reader that survives says a value or a FarmError. Whatever else is raised, or takes longer than
`SLOW` seconds, is a finding; its input is kept in the directory of `--keep`.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tarfile
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "unit"))

from elf_factory import X86_64_V3, extension  # noqa: E402
from made_projects import CARGO, LOCK, PYPROJECT, SIMPLE, write  # noqa: E402
from wheel_factory import X86_64_TAG, WheelSpec, contents, make_wheel  # noqa: E402

from farm.model.errors import FarmError  # noqa: E402
from farm.model.settings import read_settings  # noqa: E402
from farm.model.targets import Arch, Interpreter, Target  # noqa: E402
from farm.project.cargo_config import compiler_flags, fetch_config  # noqa: E402
from farm.project.cfg import holds  # noqa: E402
from farm.project.inspect import inspect  # noqa: E402
from farm.project.rust_text import read_rust  # noqa: E402
from farm.project.source import collect  # noqa: E402
from farm.steps.build import take_wheel  # noqa: E402
from farm.steps.reasons import Reasons  # noqa: E402
from farm.wheels.audit import audit  # noqa: E402
from farm.wheels.check import answer  # noqa: E402

SLOW = 5.0
"""Seconds of one execution that make it a finding."""
NAME = f"pkg-1.0-{X86_64_TAG}.whl"
TARGET = Target(interpreter=Interpreter(minor=12), arch=Arch.X86_64)
FEATURES = '[features]\ndefault = ["a", "dep:pyo3", "pyo3?/abi3-py39"]\na = ["pyo3/abi3"]\n'
WORKSPACE = (
    '[workspace]\nmembers = ["m*", "x"]\nexclude = ["y"]\n[target."cfg(unix)".dependencies]\n'
)
CONFIG = (
    '[source.crates-io]\nreplace-with = "v"\n[source.v]\ndirectory = "v"\n'
    '[build]\nrustflags = ["-C"]\n'
)
SETTINGS = (
    '[tool.farm]\narch = ["native"]\npython = ["3.12"]\nfeatures = ["a"]\n'
    'environment = { A = "b" }\ncargo-args = ["--config", "x"]\n'
    "[tool.farm.smoke]\nrequires = [\"a>=1; os_name == 'x'\"]\n"
    "[tool.farm.limits]\nmemory-gib = 1.5\n"
)
MATURIN = '[tool.maturin]\nfeatures = ["a", {feature = "pyo3/x", python-version = ">=3.9"}]\n'
ANSWER = '{"ok": true, "modules": [{"name": "a", "ok": true}], "version": null, "elapsed": 0.5}'
LOG = (
    "\x1b[31merror[E0425]: no `z`\n --> src/lib.rs:3:5\nerror: failed to run custom build command\n"
    "thread 'main' panicked at x:1:2\n  \u2570\u2500\u25b6 Because\n"
    " Caused by: No space left on device\n"
)
RUST = 'fn main() { /* a */ if cfg!(target_arch = "x86_64") { r#"b"#; \'c\'; "d\\"" } } // e'
WORDS = (
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"(",
        b")",
        b'"',
        b"'",
        b"\\",
        b"/",
        b"..",
        b"*",
        b"**",
        b"\0",
        b"\n",
    ),
    *(
        b"=",
        b",",
        b";",
        b"-",
        b"--x",
        b"inf",
        b"nan",
        b"true",
        b"1979-05-27",
        b"9" * 4400,
        b"[" * 1200,
    ),
    *(b"(" * 1200, b"\xff", b"\xc3\xa9", b"\xe2\x80\xa8", b"\x1b[2J", b"PK\x01\x02", b"PK\x03\x04"),
    *(b"PK\x05\x06", b"\x7fELF", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"a" * 300, b"\\u0000"),
)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One thing that takes bytes from outside."""

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes, Path], object]
    """Gets the input and an empty directory."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--keep", type=Path, default=Path("fuzz-findings"))
    options = arguments.parse_args()
    chance = random.Random(options.seed)  # noqa: S311 - to be repeated, not to be secret
    made, found = Counter[str](), dict[tuple[str, str], bytes]()
    readers = _readers()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        reader = readers[sum(made.values()) % len(readers)]
        data = _mutated(chance, reader.seeds)
        made[reader.name] += 1
        if fault := _fault(reader, data):
            found.setdefault((reader.name, fault), data)
    for number, ((name, fault), data) in enumerate(found.items()):
        options.keep.mkdir(parents=True, exist_ok=True)
        (options.keep / f"{name}-{number}").write_bytes(data)
        print(f"{name}: {fault} ({options.keep}/{name}-{number})")
    counts = ", ".join(f"{name} {count}" for name, count in sorted(made.items()))
    print(f"{sum(made.values())} executions ({counts}), {len(found)} findings")
    return 1 if found else 0


def _fault(reader: Reader, data: bytes) -> str:
    """Run the reader once; return where it broke, or an empty string."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="farm-fuzz-") as directory:
        try:
            reader.read(data, Path(directory))
        except FarmError:
            pass
        except Exception as error:  # noqa: BLE001 - finding these is what it is for
            trace, place = error.__traceback__, "?"
            while trace is not None:
                file = trace.tb_frame.f_code.co_filename
                if Path(file).is_relative_to(ROOT / "farm"):
                    place = f"{Path(file).name}:{trace.tb_lineno}"
                trace = trace.tb_next
            return f"{type(error).__name__} at {place}"
    spent = time.monotonic() - started
    return f"slow: {spent:.0f} s" if spent > SLOW else ""


def _mutated(chance: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    data = bytearray(chance.choice(seeds))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at : at + chance.choice((0, 0, 1, 4))] = chance.choice(WORDS)
            case 2:
                del data[at : at + chance.choice((1, 4, 30))]
            case 3:
                piece = data[at : at + chance.choice((4, 30, 200))]
                data[at:at] = piece * chance.choice((1, 2, 50))
            case 4:
                data[at : at + 4] = chance.choice((0, 1, 1 << 31, (1 << 32) - 1)).to_bytes(
                    4, "little"
                )
            case 5:
                other = chance.choice(seeds)
                data[at : at + 20] = other[(start := chance.randrange(len(other) + 1)) : start + 20]
    return bytes(data)


def _readers() -> tuple[Reader, ...]:
    library = extension(
        "_x",
        versions={("libc.so.6", "GLIBC_2.28"): ["fcntl64"]},
        runpath="$ORIGIN/../pkg.libs",
        undefined=["PyList_New"],
        isa=X86_64_V3,
    )
    spec = WheelSpec(
        files={"pkg/__init__.py": b"", "pkg/_x.cpython-312-x86_64-linux-gnu.so": library},
        more_metadata="Requires-Dist: six>=1; os_name == 'x'\nRequires-Python: >=3.9\n",
        entry_points="[console_scripts]\nrun = pkg:main\n",
    )
    with tempfile.TemporaryDirectory() as directory:
        wheel = make_wheel(Path(directory), spec).read_bytes()
    texts = {n.rpartition("/")[2]: d for n, d in contents(spec).items() if ".dist-info" in n}
    return (
        Reader(name="zip", seeds=(wheel,), read=_read_wheel),
        *(
            Reader(name=name, seeds=(texts[name],), read=_text_of(spec, field))
            for name, field in (
                ("METADATA", "metadata"),
                ("WHEEL", "wheel"),
                ("RECORD", "record"),
                ("entry_points.txt", "entry_points"),
            )
        ),
        Reader(name="ELF", seeds=(library,), read=_read_library),
        Reader(
            name="tar",
            seeds=(_tar(wheel, tarfile.PAX_FORMAT), _tar(b"x", tarfile.GNU_FORMAT)),
            read=lambda data, place: take_wheel(io.BytesIO(data), place / "built"),
        ),
        Reader(name="answer", seeds=(ANSWER.encode(),), read=lambda data, _: _lines(data, answer)),
        Reader(name="log", seeds=(LOG.encode(),), read=lambda data, _: _lines(data, _reasons)),
        Reader(name="settings", seeds=(SETTINGS.encode(),), read=_read_settings),
        Reader(
            name="pyproject.toml",
            seeds=((PYPROJECT + MATURIN).encode(),),
            read=_project_with("pyproject.toml"),
        ),
        Reader(
            name="Cargo.toml",
            seeds=((CARGO + FEATURES + WORKSPACE).encode(), CARGO.encode()),
            read=_project_with("Cargo.toml"),
        ),
        Reader(name="Cargo.lock", seeds=(LOCK.encode(),), read=_project_with("Cargo.lock")),
        Reader(
            name="cargo-config", seeds=(CONFIG.encode(),), read=_project_with(".cargo/config.toml")
        ),
        Reader(name="build.rs", seeds=(RUST.encode(),), read=_read_script),
    )


def _tar(data: bytes, form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, content in (("out/é" * 30, b""), (f"out/{NAME}", data)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _read_wheel(data: bytes, place: Path) -> object:
    path = place / NAME
    path.write_bytes(data)
    return audit(path, TARGET)


def _text_of(spec: WheelSpec, field: str) -> Callable[[bytes, Path], object]:
    """Return the reading of a wheel, sound but for one text, which RECORD knows as it is."""

    def read(data: bytes, place: Path) -> object:
        changed = WheelSpec(**{**vars(spec), field: data.decode("utf-8", "replace")})
        return audit(make_wheel(place, changed), TARGET)

    return read


def _read_library(data: bytes, place: Path) -> object:
    files = {"pkg/__init__.py": b"", "pkg/_x.so": data}
    return audit(make_wheel(place, WheelSpec(files=files)), TARGET)


def _lines(data: bytes, read: Callable[[list[str]], object]) -> object:
    return read(data.decode("utf-8", "replace").split("\n"))


def _reasons(lines: list[str]) -> str:
    reasons = Reasons(lambda _: None)
    for line in lines:
        reasons(line)
    return reasons.summary


def _read_settings(data: bytes, _: Path) -> object:
    try:
        table = tomllib.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None  # read_toml's, which the other readers go through
    farm = table.get("tool", {})
    farm = farm.get("farm", {}) if isinstance(farm, dict) else {}
    return read_settings(farm if isinstance(farm, dict) else {}, "pyproject.toml")


def _project_with(name: str) -> Callable[[bytes, Path], object]:
    def read(data: bytes, place: Path) -> object:
        file = write(place, SIMPLE) / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
        project = inspect(place)
        return (
            collect(project),
            fetch_config(place, place, "/src"),
            compiler_flags(place, place),
            json.dumps(project.name),
        )

    return read


def _read_script(data: bytes, _: Path) -> object:
    text = read_rust(data.decode("utf-8", "replace"))
    return [holds(f"cfg(any({condition}))", Arch.X86_64) for condition in text.conditions()]


if __name__ == "__main__":
    sys.exit(main())
