"""The commands of every step as data: what a plan shows, and a job then runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from packaging.requirements import Requirement

from farm.bases import debian
from farm.model.plan import CARGO_HOME, CHECK, SOURCE, TARGET, WORK, Build, Check, Command
from farm.model.settings import Settings, Smoke
from farm.model.targets import Arch, Interpreter, Mode, Target
from farm.project.bindings import Kind
from farm.project.features import names
from farm.project.inspect import Project
from farm.project.pyo3 import brings_no_crate

CARGO_ENVIRONMENT = {
    "PATH": debian.PATH,
    "CARGO_HOME": CARGO_HOME,
    "CARGO_TERM_COLOR": "never",
    "HOME": f"{WORK}/home",
}
"""What cargo needs to read manifests, and to fetch what they name."""
_VENV = f"{CHECK}/venv"
LOCKED = "--locked"
RESOLVED = "resolved"
"""What a line begins with that tells of a crate which the project's features bring."""
WHEEL = f"{CHECK}/{{wheel}}"
PROGRAM, REQUEST, COMPILER = "check.py", "wheel.json", "compile.py"
_CHECK_ENVIRONMENT = {
    "HOME": f"{CHECK}/home",
    "PATH": f"{_VENV}/bin:/usr/bin:/bin",
    "VIRTUAL_ENV": _VENV,
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "UV_CACHE_DIR": f"{CHECK}/uv",
    "UV_LINK_MODE": "hardlink",
    "UV_NO_CONFIG": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}
_UV = "/opt/uv/bin/uv"


def plan_fetch(
    arches: Sequence[Arch],
    engine_arch: Arch,
    project: Project,
    *,
    manifest: str,
    config: Sequence[str],
    locked: bool = True,
) -> tuple[Command, ...]:
    """Return the commands that get every crate that a build of `project` for `arches` needs.

    `manifest` is Cargo.toml's path below the source root, `config` are `--config` arguments
    that are safe to hand to cargo; unless `locked`, the first may change Cargo.lock. The engine's
    own architecture is always among the targets, for build scripts and procedural macros.

    Cargo locks, and `cargo fetch` gets, what the workspace's own features reach. A feature of a
    dependency (`pyo3/generate-import-lib`) may bring a crate more, which cargo picks when it
    resolves the features that it is told; `cargo tree` does, and gets what it shows. That is
    spared for what most projects ask of PyO3, which brings none.
    """
    triples = sorted({arch.triple for arch in (*arches, engine_arch)})
    common = ["--manifest-path", f"{SOURCE}/{manifest}"]
    for triple in triples:
        common += ["--target", triple]
    argvs = [["cargo", "fetch", *([LOCKED] if locked else []), *common, *config]]
    if any("/" in feature and not brings_no_crate(feature) for feature in _asked(project)):
        shown = ("--prefix", "none", "--format", f"{RESOLVED} {{p}}")
        argvs.append(["cargo", "tree", LOCKED, *common, *shown, *feature_argv(project), *config])
    return tuple(
        Command(
            image=f"builder-{engine_arch}",
            arch=engine_arch,
            argv=tuple(argv),
            cwd=WORK,
            environment=CARGO_ENVIRONMENT,
            network=True,
        )
        for argv in argvs
    )


def feature_argv(project: Project) -> tuple[str, ...]:
    """Return cargo's arguments for all features that `project` is built with on any interpreter."""
    argv = []
    if features := _asked(project):
        argv += ["--features", ",".join(features)]
    if project.wanted.all:
        argv += ["--all-features"]
    if not project.wanted.default:
        argv += ["--no-default-features"]
    return tuple(argv)


def _asked(project: Project) -> tuple[str, ...]:
    """Return the features that are asked for by name for any interpreter, one word each."""
    conditional = (each.feature for each in project.pyproject.maturin.conditional)
    return names((*project.wanted.features, *conditional))


def build_argv(
    target: Target,
    builder: Interpreter,
    settings: Settings,
    project: Project,
    *,
    interpreter: str,
    out: str,
) -> tuple[str, ...]:
    """Return maturin's command line for `target`, built on `builder`, whose path is `interpreter`.

    `--target` is always given: without it maturin names the wheel after the compiler's own
    architecture. Features of `[tool.maturin]` are repeated where the settings add some, since
    maturin forgets its own when it is given `--features`; a profile there is left to maturin.
    """
    argv = ["maturin", "build"]
    if settings.profile:
        argv += ["--profile", settings.profile]
    elif not project.pyproject.maturin.profile:
        argv += ["--release"]
    argv += ["--locked", "--target", target.arch.triple, "--interpreter", interpreter]
    argv += ["--compatibility", target.policy, "--out", out]
    if not settings.network:
        argv += ["--offline"]
    if settings.strip:
        argv += ["--strip"]
    if settings.no_default_features:
        argv += ["--no-default-features"]
    if settings.features:
        argv += ["--features", ",".join(_features(project, builder))]
    return (*argv, *settings.cargo_args)


def _features(project: Project, builder: Interpreter) -> tuple[str, ...]:
    conditional = project.pyproject.maturin.conditional
    held = (c.feature for c in conditional if c.holds(builder))
    return tuple(dict.fromkeys((*project.wanted.features, *held)))


def plan_build(
    target: Target,
    builder: Interpreter,
    settings: Settings,
    project: Project,
    *,
    mode: Mode,
    engine_arch: Arch,
    project_path: str,
    epoch: int,
    out: str,
) -> Build:
    """Return how the wheel for `target` is built on `builder` in `mode`.

    `project_path` is the project's directory below the source root, `epoch` is
    SOURCE_DATE_EPOCH, `out` where the container leaves the wheel.
    """
    emulated = mode is Mode.EMULATED
    image = f"{'emulated' if emulated else 'builder'}-{target.arch}"
    environment = debian.build_environment(
        arch=target.arch, engine_arch=engine_arch, mode=mode, interpreter=builder
    ) | {
        "CARGO_HOME": CARGO_HOME,
        "CARGO_TARGET_DIR": f"{TARGET}/{'emulated' if emulated else 'shared'}",
        "CARGO_TERM_COLOR": "never",
        "HOME": f"{WORK}/home",
        "SOURCE_DATE_EPOCH": str(epoch),
    }
    path = builder.path
    prepare: tuple[Command, ...] = ()
    if requires := _requires(project):
        venv = f"{WORK}/env/{target.arch}-{builder.abi_tag}"
        path = f"{venv}/bin/python3.{builder.minor}"
        prepare = _environment_of(requires, builder, venv, image, target.arch, environment)
        environment |= {"PATH": f"{environment['PATH']}:{venv}/bin", "VIRTUAL_ENV": venv}
    command = Command(
        image=image,
        arch=target.arch,
        argv=build_argv(target, builder, settings, project, interpreter=path, out=out),
        cwd=f"{SOURCE}/{project_path}".removesuffix("/."),
        environment=environment | settings.environment,
        network=settings.network,
    )
    return Build(mode=mode, linker=debian.LINKER, prepare=prepare, command=command)


def _requires(project: Project) -> tuple[str, ...]:
    """Return `build-system.requires` less maturin, and what maturin adds to it for its bindings."""
    requires = [str(requirement) for requirement in project.pyproject.build_requires]
    names = {requirement.name for requirement in project.pyproject.build_requires}
    if project.bindings.kind is Kind.CFFI and "cffi" not in names:
        requires.append("cffi")
    return tuple(requires)


def _environment_of(
    requires: tuple[str, ...],
    builder: Interpreter,
    venv: str,
    image: str,
    arch: Arch,
    environment: Mapping[str, str],
) -> tuple[Command, ...]:
    """Return the commands that make the virtual environment `venv` with `requires`, from wheels."""
    install = ("uv", "pip", "install", "--only-binary", ":all:", "--python", venv)
    return tuple(
        Command(
            image=image,
            arch=arch,
            argv=argv,
            cwd=WORK,
            environment={
                "PATH": environment["PATH"],
                "HOME": f"{WORK}/home",
                "UV_CACHE_DIR": f"{WORK}/uv",
                "UV_NO_CONFIG": "1",
                "UV_PYTHON_DOWNLOADS": "never",
            },
            network=True,
        )
        for argv in (
            ("uv", "venv", "--no-project", "--clear", "--python", builder.path, venv),
            (*install, *requires),
        )
    )


def plan_check(
    interpreter: Interpreter,
    arch: Arch,
    smoke: Smoke,
    *,
    native: Arch,
    project_path: str,
    groups: tuple[str, ...],
) -> Check:
    """Return the smoke test of one wheel for `arch` on one interpreter.

    What makes its environment, and runs nothing of what is installed, runs on the architecture
    `native`: the engine's own, or `arch` again where that has no such interpreter. `groups` are the
    requirements of the settings' dependency groups, already looked up.
    """
    extras = f"[{','.join(smoke.extras)}]" if smoke.extras else ""

    def command(*argv: str, on: Arch = arch, network: bool = False) -> Command:
        return Command(
            image=f"check-{on}",
            arch=on,
            argv=argv,
            cwd=f"{CHECK}/home",
            environment=_CHECK_ENVIRONMENT,
            network=network,
        )

    needs_network = bool(smoke.requires or groups)
    platform: tuple[str, ...] = ()
    if native is not arch:
        platform = ("--python-platform", debian.check_platform(interpreter, arch))
    prepare = [
        command(_UV, "venv", "--no-project", "--python", interpreter.path, _VENV, on=native),
        command(
            *(_UV, "pip", "install", "--only-binary", ":all:", *platform, "--python", _VENV),
            *(f"{WHEEL}{extras}", *smoke.requires, *groups),
            on=native,
            network=needs_network,
        ),
    ]
    if native is not arch:  # where it runs, each module is compiled when it is imported
        modules = f"{_VENV}/lib/python3.{interpreter.minor}/site-packages"
        asked = sorted({Requirement(text).name for text in (*smoke.requires, *groups)})
        compiling = (interpreter.path, "-I", f"{CHECK}/{COMPILER}", modules, *asked)
        prepare.append(command(*compiling, on=native))
    run = [command("python", f"{CHECK}/{PROGRAM}", f"{CHECK}/{REQUEST}")]
    if smoke.command:
        place = f"{SOURCE}/{project_path}".removesuffix("/.")
        run.append(command(*(word.replace("{project}", place) for word in smoke.command)))
    return Check(
        interpreter=interpreter,
        prepare=tuple(prepare),
        run=tuple(run),
        excused=any(Interpreter.parse(text) == interpreter for text in smoke.excuse),
    )
