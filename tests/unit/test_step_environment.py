"""What of the user's own environment reaches a container."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from farm.engine.containers import Workshop
from farm.engine.images import Image
from farm.model.plan import Command
from farm.model.settings import Settings
from farm.model.targets import Arch
from farm.steps.context import Context

OF_THE_USER = {
    "UV_DEFAULT_INDEX": "https://index.example/simple",
    "https_proxy": "http://proxy.example",
    "RUSTFLAGS": "-C target-cpu=native",
    "CARGO_HOME": "/home/somebody/.cargo",
    "PYTHONPATH": "/home/somebody",
}


@pytest.mark.parametrize(
    ("network", "reaches"), [(False, set()), (True, {"UV_DEFAULT_INDEX", "https_proxy"})]
)
def test_only_what_leads_to_the_network_reaches_only_what_is_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, network: bool, reaches: set[str]
) -> None:
    for name, value in OF_THE_USER.items():
        monkeypatch.setenv(name, value)
    image = Image(
        name="builder-x86_64", reference="", id="sha256:0", labels={}, interpreters=(), versions={}
    )
    context = Context(
        workshop=cast("Workshop", None),
        engine_arch=Arch.X86_64,
        images={image.name: image},
        directory=tmp_path,
        settings=Settings(),
        memory=1,
        cpus=1,
        emit=lambda _: None,
    )
    command = Command(
        image=image.name,
        arch=Arch.X86_64,
        argv=("maturin",),
        cwd="/src",
        environment={"CARGO_HOME": "/cargo"},
        network=network,
    )
    given = context.spec(command, mounts=(), deadline=1).environment
    assert given["CARGO_HOME"] == "/cargo"
    assert {name for name in OF_THE_USER if given.get(name) == OF_THE_USER[name]} == reaches
    assert network or given == command.environment
