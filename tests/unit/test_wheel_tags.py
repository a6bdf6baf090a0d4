from __future__ import annotations

from pathlib import Path

import pytest
from wheel_factory import WheelSpec, make_wheel

from farm.model.targets import Abi, Arch, Interpreter, Target
from farm.wheels.archive import read_wheel
from farm.wheels.tags import claims, expected_tags

ALL = tuple(map(Interpreter.parse, ["3.8", "3.9", "3.11", "3.13", "3.13t", "3.14", "3.14t"]))


@pytest.mark.parametrize(
    ("tag", "requires", "claimed"),
    [
        ("cp313-cp313-manylinux_2_28_x86_64", "", ["3.13"]),
        ("cp313-cp313t-manylinux_2_28_aarch64", "", ["3.13t"]),
        ("cp39-abi3-manylinux_2_28_aarch64", "", ["3.9", "3.11", "3.13", "3.14"]),
        ("cp39-abi3-manylinux_2_28_x86_64", ">=3.11", ["3.11", "3.13", "3.14"]),
        ("cp39-abi3-manylinux_2_28_x86_64", ">=3.9.2,<3.14", ["3.9", "3.11", "3.13"]),
        ("py3-none-manylinux_2_28_x86_64", "", [i.version for i in ALL]),
        ("py3-none-manylinux_2_28_x86_64", ">=3.14", ["3.14", "3.14t"]),
        ("py3-none-manylinux_2_17_x86_64.musllinux_1_1_x86_64", "!=3.9.*,<3.13", ["3.8", "3.11"]),
        ("cp311.cp313-none-manylinux_2_28_x86_64", "", ["3.11", "3.13", "3.13t"]),
        ("py311-none-any", "", ["3.11", "3.13", "3.13t", "3.14", "3.14t"]),
        ("pp311-pypy311_pp73-manylinux_2_28_x86_64", "", []),
        ("cp310-cp310-manylinux_2_28_x86_64", "", []),
    ],
)
def test_a_wheel_claims_what_an_installer_would_take_it_for(
    tmp_path: Path, tag: str, requires: str, claimed: list[str]
) -> None:
    more = f"Requires-Python: {requires}\n" if requires else ""
    wheel = read_wheel(make_wheel(tmp_path, WheelSpec(tag=tag, more_metadata=more)))
    assert [i.version for i in claims(wheel, ALL)] == claimed


def test_a_targets_tag_and_its_aliases_are_expected() -> None:
    target = Target(
        interpreter=Interpreter(minor=9), arch=Arch.AARCH64, abi=Abi.ABI3, policy="manylinux_2_17"
    )
    assert set(map(str, expected_tags(target, ["manylinux2014_aarch64"]))) == {
        "cp39-abi3-manylinux_2_17_aarch64",
        "cp39-abi3-manylinux2014_aarch64",
    }
