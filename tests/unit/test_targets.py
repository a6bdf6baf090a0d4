from __future__ import annotations

import pytest
from packaging.utils import parse_wheel_filename

from farm.model.errors import UsageError
from farm.model.targets import Abi, Arch, Interpreter, Target


@pytest.mark.parametrize(
    ("text", "arch"),
    [
        ("x86_64", Arch.X86_64),
        ("amd64", Arch.X86_64),
        ("AMD64", Arch.X86_64),
        ("aarch64", Arch.AARCH64),
        ("arm64", Arch.AARCH64),
    ],
)
def test_architectures_have_aliases(text: str, arch: Arch) -> None:
    assert Arch.parse(text) is arch


def test_an_unknown_architecture_offers_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'aarch64'"):
        Arch.parse("aarch46")


@pytest.mark.parametrize("text", ["3.12", "cp312", "CP312", " 3.12 "])
def test_interpreters_are_written_in_several_ways(text: str) -> None:
    assert Interpreter.parse(text) == Interpreter(minor=12)


@pytest.mark.parametrize("text", ["3.14t", "cp314t"])
def test_free_threaded_interpreters_have_their_own_tag(text: str) -> None:
    interpreter = Interpreter.parse(text)
    assert interpreter.path == "/opt/python/cp314-cp314t/bin/python"
    assert interpreter.abi_tag == "cp314t"


@pytest.mark.parametrize("text", ["", "3", "2.7", "pypy3.11", "3.12.1", "312"])
def test_what_is_no_interpreter_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no Python that the farm knows"):
        Interpreter.parse(text)


def test_interpreters_are_ordered_by_version_not_by_text() -> None:
    assert Interpreter.parse("3.9") < Interpreter.parse("3.11") < Interpreter.parse("3.14t")


@pytest.mark.parametrize("abi", list(Abi))
@pytest.mark.parametrize("arch", list(Arch))
def test_a_job_reads_like_its_wheels_tag(arch: Arch, abi: Abi) -> None:
    target = Target(interpreter=Interpreter(minor=9), arch=arch, abi=abi)
    parts = f"{target.python_tag}-{target.abi_tag}-{target.platform_tag}"
    *_, tags = parse_wheel_filename(f"x-1-{parts}.whl")
    assert len(tags) == 1
    assert target.id in parts
