"""Farms that begin at once on an engine without images: the soak's first part, on cheap ones.

Each asks for the images that foreign architectures are tried with, which are made within seconds;
one farm is killed as soon as it is at work. The others end well with the same images, each made
once, and nothing is left.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import docker

from farm.bases.recipes import tools_for
from farm.engine import images
from farm.engine.connection import arch
from farm.model.targets import Arch

ASK = """
import json
import sys

from farm.engine import images
from farm.engine.connection import connect

with connect() as client:
    told = lambda event: print(event, file=sys.stderr, flush=True)
    made = images.ensure(client, sys.argv[1:], emit=told)
print(json.dumps({name: image.id for name, image in made.items()}))
"""
PATIENCE = 600


def cold(
    client: docker.DockerClient, scratch: Path, mark: Mapping[str, str], *, farms: int
) -> list[str]:
    """Start `farms` farms and one that is killed; return what is wrong afterwards."""
    native = arch(client)
    names = tools_for(each for each in Arch if each is not native)
    for image in images.existing(client):
        if image.name in names:
            client.images.remove(image.reference or image.id, force=True)
    place = scratch / "cold"
    place.mkdir()
    environment = os.environ | mark | {"TMPDIR": str(place)}
    argv = [sys.executable, "-c", ASK, *names]
    victim = subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    if victim.stderr is not None:
        victim.stderr.readline()  # it is at work
    others = [
        subprocess.Popen(
            argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(farms)
    ]
    victim.kill()
    victim.communicate()
    said = [other.communicate(timeout=PATIENCE) for other in others]
    faults = [
        f"cold: a farm ended with {other.returncode}: {errors[-300:]}"
        for other, (_, errors) in zip(others, said, strict=True)
        if other.returncode
    ]
    answers = [json.loads(out) for other, (out, _) in zip(others, said, strict=True) if out]
    if any(answer != answers[0] for answer in answers):
        faults.append(f"cold: farms have different images: {answers}")
    there = Counter(image.name for image in images.existing(client) if image.name in names)
    faults += [f"cold: {name} is there {count} times" for name, count in there.items() if count > 1]
    faults += [f"cold: left behind: {path}" for path in place.iterdir() if _is_left(path)]
    return faults


def _is_left(path: Path) -> bool:
    """Tell whether a directory is one that the next farm would not remove; the victim's it does."""
    return not path.name.startswith("farm-scratch-")
