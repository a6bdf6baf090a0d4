"""What maturin packs of the tree that the farm sends is what it packs of the user's own."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import docker
import pytest
from trees import TREES

from farm.bases import debian
from farm.engine import images
from farm.engine.connection import arch
from farm.project.inspect import inspect
from farm.project.source import collect

pytestmark = pytest.mark.docker

PROGRAM = f"""\
import hashlib, json, os, pathlib, subprocess, zipfile
argv = ["maturin", "build", "--offline", "-q", "--profile", "dev", "--compatibility", "linux"]
environment = {{
    **os.environ,
    "PATH": "{debian.PATH}",
    "HOME": "/tmp",
    "CARGO_HOME": "/tmp/cargo",
    "CARGO_TARGET_DIR": "/tmp/target",
}}
said = {{}}
for file in sorted(pathlib.Path("/tmp/trees").glob("*/*/project")):
    number, kind = file.parts[3:5]
    out = f"/tmp/out/{{number}}/{{kind}}"
    done = subprocess.run(
        [*argv, "--out", out], cwd=file.parent / file.read_text(), env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    assert done.returncode == 0, (number, kind, done.stdout)
    (wheel,) = pathlib.Path(out).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        said[f"{{number}} {{kind}}"] = {{
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith(("/RECORD", "/scripts/sample", "/sample.cyclonedx.json"))
        }}
print(json.dumps(said))
"""
"""The program itself and the bill of materials hold the path that they were made at."""


def in_builder(client: docker.DockerClient, trees: Path) -> Any:
    """Return what `PROGRAM` says of the wheels of `trees`, built in one container."""
    native = arch(client)
    image = images.ensure(client, images.names_for(native, [native]), emit=lambda _: None)[
        f"builder-{native}"
    ]
    command = [image.interpreters[-1].path, "-c", PROGRAM]
    container = client.containers.create(image.id, command, network_mode="none", user="0")
    try:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.add(trees, "trees")
        container.put_archive("/tmp", stream.getvalue())  # noqa: S108
        container.start()
        status = container.wait()["StatusCode"]
        assert status == 0, container.logs().decode()
        return json.loads(container.logs(stderr=False).splitlines()[-1])
    finally:
        container.remove(force=True)


def test_the_wheel_is_that_of_plain_maturin_or_a_line_says_so(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    lines = {}
    for number, tree in enumerate(TREES.values()):
        place = tmp_path / f"{number:02}"
        root = tree.write(place / "whole")
        source = collect(inspect(root))
        lines[number] = " ".join(source.warnings)
        stream = io.BytesIO()
        source.write_tar(stream, mtime=1_700_000_000)
        stream.seek(0)
        with tarfile.open(fileobj=stream) as archive:
            archive.extractall(place / "sent", filter="tar")
        (place / "whole/project").write_text(tree.at)
        (place / "sent/project").write_text(source.project)
        shutil.rmtree(place / "whole/.git/hooks", ignore_errors=True)
    said = in_builder(client, tmp_path)
    for number, (name, tree) in enumerate(TREES.items()):
        plain, ours = said[f"{number:02} whole"], said[f"{number:02} sent"]
        assert (name, plain.keys() - ours) == (name, tree.gone)
        assert (name, ours.keys() - plain) == (name, tree.more)
        assert {n: plain[n] for n in plain.keys() & ours} == {
            n: ours[n] for n in plain.keys() & ours
        }
        for path in tree.gone | tree.more:
            told = any(str(p) in lines[number] for p in (path, Path(path).parent))
            assert told != path.endswith(".pyc"), (name, path, lines[number])
