from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from elf_factory import AARCH64, RISCV, X86_64, X86_64_V3, ElfSpec, elf, extension
from wheel_factory import WheelSpec, make_wheel

from farm.model.errors import UsageError
from farm.model.targets import Abi, Arch, Interpreter, Target
from farm.wheels.audit import Audit, AuditError, Severity, audit
from farm.wheels.errors import WheelError

MACHINES = {Arch.X86_64: X86_64, Arch.AARCH64: AARCH64}
GNU = "cpython-312-x86_64-linux-gnu"
CP312 = Interpreter(minor=12)


def target(
    minor: int = 12,
    arch: Arch = Arch.X86_64,
    abi: Abi = Abi.VERSION,
    policy: str = "manylinux_2_28",
) -> Target:
    return Target(interpreter=Interpreter(minor=minor), arch=arch, abi=abi, policy=policy)


def wheel_for(directory: Path, job: Target, files: Mapping[str, bytes], tag: str = "") -> Path:
    tag = tag or f"{job.python_tag}-{job.abi_tag}-{job.platform_tag}"
    return make_wheel(directory, WheelSpec(files={"pkg/__init__.py": b"", **files}, tag=tag))


def audited(directory: Path, job: Target, files: Mapping[str, bytes], tag: str = "") -> Audit:
    return audit(wheel_for(directory, job, files, tag), job)


def with_extension(directory: Path, **spec: object) -> Audit:
    return audited(directory, target(), {f"pkg/_x.{GNU}.so": extension("_x", **spec)})


def errors(found: Audit) -> str:
    return "\n".join(map(str, found.errors))


@pytest.mark.parametrize("arch", Arch)
@pytest.mark.parametrize("abi", Abi)
def test_a_good_wheel_of_every_kind_passes(tmp_path: Path, arch: Arch, abi: Abi) -> None:
    machine = MACHINES[arch]
    files = {
        Abi.VERSION: {f"pkg/_x.cpython-312-{arch}-linux-gnu.so": extension("_x", machine=machine)},
        Abi.ABI3: {"pkg/_x.abi3.so": extension("_x", machine=machine, undefined=["PyList_New"])},
        Abi.NONE: {
            "pkg/libx.so": elf(ElfSpec(machine=machine)),
            "pkg-1.0.data/scripts/tool": elf(ElfSpec(machine=machine, needed=())),
        },
    }
    found = audited(tmp_path, target(arch=arch, abi=abi), files[abi])
    assert found.findings == ()
    assert found.passed
    assert found.needed == ("libc.so.6",)
    assert found.platform_tags == (f"manylinux_2_28_{arch}",)
    lowest = {Arch.X86_64: "manylinux_2_5_x86_64", Arch.AARCH64: "manylinux_2_17_aarch64"}
    assert found.require() == found.policy == lowest[arch]


def test_symbols_newer_than_the_policy_are_named_with_library_and_file(tmp_path: Path) -> None:
    found = with_extension(
        tmp_path,
        versions={
            ("libc.so.6", "GLIBC_2.33"): ["stat64", "fstat64"],
            ("libc.so.6", "GLIBC_2.28"): ["fcntl64"],
            ("libstdc++.so.6", "GLIBCXX_3.4.29"): ["_ZSt4cout"],
            ("libssl.so.3", "OPENSSL_3.0.0"): ["SSL_new"],
        },
    )
    file = f"pkg/_x.{GNU}.so"
    end = "newer than manylinux_2_28_x86_64 allows"
    assert [str(f) for f in found.errors] == [
        f"{file}: uses GLIBCXX_3.4.29 (_ZSt4cout) of libstdc++.so.6, {end}",
        f"{file}: uses GLIBC_2.33 (fstat64, stat64) of libc.so.6, {end}",
    ]
    assert found.policy == "manylinux_2_34_x86_64"
    with pytest.raises(AuditError, match=r"GLIBC_2\.33 \(fstat64, stat64\)") as caught:
        found.require()
    assert str(found.wheel.path) in caught.value.remedy


def test_symbols_of_the_policy_itself_pass(tmp_path: Path) -> None:
    versions = {("libc.so.6", "GLIBC_2.28"): ["fcntl64"]}
    found = with_extension(tmp_path, versions=versions)
    assert found.passed
    assert found.policy == "manylinux_2_28_x86_64"


def test_a_symbol_that_no_named_library_can_have_is_an_error(tmp_path: Path) -> None:
    """What a linker leaves of a newer glibc's function: undefined, without a version."""
    found = with_extension(
        tmp_path, undefined=["arc4random", "PyLong_FromLong", "__stack_chk_guard"]
    )
    assert "uses arc4random, newer than manylinux_2_28_x86_64 allows" in errors(found)
    assert "PyLong_FromLong" not in errors(found)
    assert "__stack_chk_guard" not in errors(found)


def test_a_symbol_may_be_of_a_library_without_versions(tmp_path: Path) -> None:
    found = with_extension(tmp_path, needed=["libc.so.6", "libz.so.1"], undefined=["adler32"])
    assert found.passed


def test_a_library_that_nobody_ships_is_dangling(tmp_path: Path) -> None:
    found = with_extension(tmp_path, needed=["libc.so.6", "libssl.so.3"])
    assert "needs libssl.so.3, which is neither in the wheel nor among" in errors(found)
    assert found.policy == "linux_x86_64"
    assert found.needed == ("libc.so.6", "libssl.so.3")


def test_a_grafted_library_is_found_by_the_runpath(tmp_path: Path) -> None:
    files = {
        f"pkg/_x.{GNU}.so": extension("_x", needed=["liba.so"], runpath="$ORIGIN/../pkg.libs"),
        "pkg.libs/liba.so": elf(ElfSpec()),
    }
    found = audited(tmp_path, target(), files)
    assert found.findings == ()
    assert found.needed == ("libc.so.6",)


def test_a_shipped_library_that_the_loader_would_not_find_is_dangling(tmp_path: Path) -> None:
    files = {
        f"pkg/_x.{GNU}.so": extension("_x", needed=["liba.so"]),
        "pkg.libs/liba.so": elf(ElfSpec()),
    }
    assert "needs liba.so" in errors(audited(tmp_path, target(), files))


def test_a_shipped_library_may_lean_on_what_its_user_has_loaded(tmp_path: Path) -> None:
    files = {
        f"pkg/_x.{GNU}.so": extension(
            "_x", needed=["liba.so", "libb.so"], runpath="$ORIGIN/../pkg.libs"
        ),
        "pkg.libs/liba.so": elf(ElfSpec(needed=["libb.so"])),
        "pkg.libs/libb.so": elf(ElfSpec()),
    }
    assert audited(tmp_path, target(), files).findings == ()


def test_this_machines_libraries_are_never_looked_at(tmp_path: Path) -> None:
    own = Path(sys.executable).resolve().parent
    found = with_extension(tmp_path, needed=["libm.so.6", "libz.so.1", "libresolv.so.2"])
    assert found.passed
    found = with_extension(tmp_path, needed=["python3"], runpath=str(own))
    assert "needs python3" in errors(found)


def test_forbidden_symbols_of_an_allowed_library_are_named(tmp_path: Path) -> None:
    found = with_extension(tmp_path, needed=["libz.so.1"], undefined=["gzflags"])
    assert "uses gzflags of libz.so.1, which manylinux_2_28_x86_64 rules out" in errors(found)


@pytest.mark.parametrize(
    ("machine", "name"), [(AARCH64, "EM_AARCH64"), (RISCV, "EM_RISCV"), (9999, "9999")]
)
def test_a_library_for_another_machine_is_found(tmp_path: Path, machine: int, name: str) -> None:
    files = {
        f"pkg/_x.{GNU}.so": extension("_x"),
        "pkg/data.bin": elf(ElfSpec(machine=machine)),
    }
    found = audited(tmp_path, target(), files)
    assert errors(found) == f"pkg/data.bin: is for {name}, not EM_X86_64"
    assert found.policy == "linux_x86_64"


def test_instructions_beyond_the_baseline_are_found(tmp_path: Path) -> None:
    found = with_extension(tmp_path, isa=X86_64_V3)
    assert "needs instructions of x86_64_v3" in errors(found)


def test_a_wheel_of_another_job_is_found(tmp_path: Path) -> None:
    job = target(arch=Arch.AARCH64)
    files = {"pkg/_x.cpython-313-aarch64-linux-gnu.so": extension("_x", machine=AARCH64)}
    found = audited(tmp_path, job, files, tag="cp313-cp313-manylinux_2_28_aarch64")
    assert (
        "is tagged cp313-cp313-manylinux_2_28_aarch64,"
        " the job was for cp312-cp312-manylinux_2_28_aarch64"
    ) in errors(found)
    assert "no interpreter of cp312 on aarch64 imports pkg._x from a file" in errors(found)


@pytest.mark.parametrize(
    ("policy", "platform", "good"),
    [
        ("manylinux_2_17", "manylinux_2_17_x86_64", True),
        ("manylinux_2_17", "manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        ("manylinux2014", "manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        ("manylinux_2_28", "manylinux_2_17_x86_64.manylinux_2_28_x86_64", False),
        ("manylinux_2_28", "manylinux_2_17_x86_64", False),
        ("manylinux_2_28", "linux_x86_64", False),
        ("manylinux_2_28", "manylinux_2_28_x86_64.musllinux_1_2_x86_64", False),
        ("manylinux_2_28", "any", False),
    ],
)
def test_the_platform_is_the_jobs_own_or_its_legacy_name(
    tmp_path: Path, policy: str, platform: str, *, good: bool
) -> None:
    files = {f"pkg/_x.{GNU}.so": extension("_x")}
    found = audited(tmp_path, target(policy=policy), files, tag=f"cp312-cp312-{platform}")
    assert found.passed == good


def test_a_policy_that_does_not_exist_is_the_users_error(tmp_path: Path) -> None:
    path = wheel_for(tmp_path, target(), {})
    with pytest.raises(UsageError, match="did you mean 'manylinux_2_28'") as caught:
        audit(path, target(policy="manylinux_228"))
    assert "manylinux_2_17" in caught.value.remedy


def test_a_platform_wheel_without_compiled_files_is_found(tmp_path: Path) -> None:
    assert "has a platform's tag and no ELF file" in errors(audited(tmp_path, target(), {}))


def test_a_wheel_for_one_python_without_an_extension_is_found(tmp_path: Path) -> None:
    found = audited(tmp_path, target(), {"pkg/libx.so": elf(ElfSpec())})
    assert errors(found) == "is tagged cp312 and has no extension module"


def test_compiled_files_do_not_belong_into_purelib(tmp_path: Path) -> None:
    found = audited(tmp_path, target(), {f"pkg-1.0.data/purelib/_x.{GNU}.so": extension("_x")})
    assert "is compiled, and goes to purelib" in errors(found)
    wheel = f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: cp312-cp312-{target().platform_tag}\n"
    spec = WheelSpec(wheel=wheel, files={f"_x.{GNU}.so": extension("_x")})
    assert "Root-Is-Purelib" in errors(audit(make_wheel(tmp_path, spec), target()))


def test_an_abi3_wheel_must_stay_in_the_stable_abi_of_its_version(tmp_path: Path) -> None:
    files = {
        "pkg/_x.abi3.so": extension(
            "_x",
            machine=AARCH64,
            undefined=["PyList_New", "PyObject_GetBuffer", "_PyLong_Sign", "PyExc_ValueError"],
            weak=["PyUnstable_Module_SetGIL"],
        )
    }
    job = target(minor=9, arch=Arch.AARCH64, abi=Abi.ABI3)
    assert [f.text for f in audited(tmp_path, job, files).errors] == [
        "uses PyObject_GetBuffer, which the stable ABI has since 3.11 only",
        "uses _PyLong_Sign, which is not in the stable ABI",
    ]
    job = target(minor=11, arch=Arch.AARCH64, abi=Abi.ABI3)
    assert [f.text for f in audited(tmp_path, job, files).errors] == [
        "uses _PyLong_Sign, which is not in the stable ABI"
    ]


def test_an_abi3_wheel_cannot_hold_an_extension_for_one_python(tmp_path: Path) -> None:
    found = audited(tmp_path, target(abi=Abi.ABI3), {f"pkg/_x.{GNU}.so": extension("_x")})
    assert "no interpreter of abi3 on x86_64 imports pkg._x from a file" in errors(found)


def test_a_wheel_for_any_python_must_not_use_pythons_own_abi(tmp_path: Path) -> None:
    files = {"pkg/x.so": extension("x", undefined=["PyList_New"])}
    found = errors(audited(tmp_path, target(abi=Abi.NONE), files))
    assert "is the extension module pkg.x, in a wheel tagged none" in found
    assert "uses Python's own C API (PyList_New), in a wheel tagged none" in found


def test_search_paths_of_the_build_machine_are_a_warning(tmp_path: Path) -> None:
    found = with_extension(tmp_path, runpath="$ORIGIN/../lib:/build/target/release")
    assert found.passed
    assert [f.severity for f in found.findings] == [Severity.WARNING]
    assert "look for libraries in '/build/target/release'" in found.warnings[0].text


def test_an_executable_stack_is_a_warning(tmp_path: Path) -> None:
    found = with_extension(tmp_path, executable_stack=True)
    assert found.passed
    assert "executable stack" in found.warnings[0].text


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"\x7fELF", "is no sound ELF file"),
        (b"\x7fELF" + b"\xff" * 100, "is no sound ELF file"),
        (extension("_x")[:-200], "is no sound ELF file"),
        (elf(ElfSpec(sections=False)), "no section .dynsym"),
    ],
)
def test_what_cannot_be_read_is_not_passed(tmp_path: Path, data: bytes, fault: str) -> None:
    found = audited(tmp_path, target(), {f"pkg/_x.{GNU}.so": data})
    assert fault in errors(found)
    assert found.policy == "linux_x86_64"


def test_an_unsound_archive_is_not_audited(tmp_path: Path) -> None:
    path = wheel_for(tmp_path, target(), {})
    path.write_bytes(path.read_bytes()[:22])
    with pytest.raises(WheelError):
        audit(path, target())


def test_a_wheel_built_again_under_the_same_name_is_read_again(tmp_path: Path) -> None:
    assert with_extension(tmp_path).passed
    assert not with_extension(tmp_path, needed=["libgone.so"]).passed


def test_audits_in_threads_leave_the_working_directory_alone(tmp_path: Path) -> None:
    here = Path.cwd()
    paths = []
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        files = {f"pkg/_x.{GNU}.so": extension("_x")}
        paths.append(wheel_for(tmp_path / str(number), target(), files))
    with ThreadPoolExecutor(4) as pool:
        assert all(a.passed for a in pool.map(lambda path: audit(path, target()), paths))
        assert Path.cwd() == here


def installed_wheel(directory: Path) -> tuple[Path, Target]:
    """Return the wheel that pydantic_core was installed from here, made again of its files."""
    distribution = importlib.metadata.distribution("pydantic_core")
    extensions = [f for f in distribution.files or () if f.suffix == ".so"]
    assert len(extensions) == 1
    wheel = distribution.read_text("WHEEL")
    metadata = distribution.read_text("METADATA")
    assert wheel
    assert metadata
    tags = [line.removeprefix("Tag: ") for line in wheel.splitlines() if line.startswith("Tag: ")]
    python, abi, _ = tags[0].split("-")
    platforms = ".".join(tag.split("-")[2] for tag in tags)
    spec = WheelSpec(
        name="pydantic_core",
        version=distribution.version,
        tag=f"{python}-{abi}-{platforms}",
        wheel=wheel,
        metadata=metadata,
        files={
            str(f): Path(str(f.locate())).read_bytes()
            for f in distribution.files or ()
            if f.parts[0] == "pydantic_core" and f.suffix != ".pyc"
        },
    )
    arch = Arch.AARCH64 if platforms.endswith("aarch64") else Arch.X86_64
    policy = platforms.split(".")[0].removesuffix(f"_{arch}")
    job = Target(interpreter=Interpreter.parse(abi), arch=arch, policy=policy)
    return make_wheel(directory, spec), job


def test_a_real_wheel_passes_for_its_own_tag(tmp_path: Path) -> None:
    path, job = installed_wheel(tmp_path)
    found = audit(path, job)
    assert found.findings == ()
    assert found.wheel.modules == ("pydantic_core",)
    assert [e.module for e in found.wheel.extensions] == ["pydantic_core._pydantic_core"]


def auditwheels_own(path: Path) -> str:
    """Return what `auditwheel show` says; in a process, as it changes the working directory."""
    program = (
        "import sys, pathlib; from auditwheel.wheel_abi import analyze_wheel_abi as analyze;"
        "print(analyze(None, None, pathlib.Path(sys.argv[1]), frozenset(), allow_graft=False,"
        "disable_isa_ext_check=False, args_ldpaths='').overall_policy.name)"
    )
    argv = [sys.executable, "-c", program, str(path)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def test_auditwheel_itself_comes_to_the_same_verdict_on_a_real_wheel(tmp_path: Path) -> None:
    path, job = installed_wheel(tmp_path)
    assert audit(path, job).policy == auditwheels_own(path)


@pytest.mark.parametrize("arch", Arch)
@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"versions": {("libc.so.6", "GLIBC_2.17"): ["secure_getenv"]}},
        {"versions": {("libc.so.6", "GLIBC_2.34"): ["dlsym"], ("libm.so.6", "GLIBC_2.29"): []}},
        {"versions": {("libc.so.6", "GLIBC_PRIVATE"): ["secret"]}},
        {"versions": {("libc.so.6", "GLIBC_ABI_DT_RELR"): []}},
        {"versions": {("libstdc++.so.6", "GLIBCXX_3.4.24"): ["f"]}},
        {"needed": ["libc.so.6", "libssl.so.3"]},
        {"needed": ["libc.so.6", "libexpat.so.1"]},
        {"needed": ["libc.so.6", "libmvec.so.1"]},
        {"needed": ["libc.so.6", "ld-linux-x86-64.so.2", "libpython3.12.so.1.0"]},
        {"needed": ["libc.so.6", "libz.so.1"], "undefined": ["uncompress2"]},
        {"undefined": ["PyFPE_jbuf"]},
        {"isa": X86_64_V3},
    ],
)
def test_auditwheel_itself_comes_to_the_same_verdict(
    tmp_path: Path, arch: Arch, spec: dict[str, object]
) -> None:
    name = f"pkg/_x.cpython-312-{arch}-linux-gnu.so"
    job = target(arch=arch)
    path = wheel_for(tmp_path, job, {name: extension("_x", machine=MACHINES[arch], **spec)})
    assert audit(path, job).policy == auditwheels_own(path)
