"""Makes a signed Debian archive, in the container that compose.yaml describes, with Debian's tools.

Reads what is in it from standard input, as JSON, and makes /srv/<name>/:

    {"name": …, "weather": […], "suites": [{"name", "made_days_ago", "valid_days", "damage",
     "debs": [{"name", "version", "arch", "fields": {…}, "gone", "damaged", "files": {path: of}}]}]}

`gone` and `damaged` are packages that the lists name, and that are not there, or of other bytes.
`damage` is `signature` where the signed text was changed after the signing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

ROOT = Path("/srv")
KEY = ROOT / "key.asc"
GPG = ("gpg", "--batch", "--quiet", "--homedir", "/tmp/gpg")


def run(*words: str, cwd: Path | None = None) -> bytes:
    """Run a program and return what it said."""
    return subprocess.run(words, cwd=cwd, check=True, stdout=subprocess.PIPE).stdout


def make_key() -> None:
    """Make the key that all archives are signed with, once."""
    if not KEY.exists():
        Path("/tmp/gpg").mkdir(mode=0o700)
        words = ("--passphrase", "", "--quick-gen-key", "farm test", "rsa2048", "sign", "never")
        run(*GPG, *words)
        ROOT.mkdir(exist_ok=True)
        KEY.write_bytes(run(*GPG, "--armor", "--export"))


def make_deb(deb: dict[str, Any], pool: Path) -> None:
    """Make one package file."""
    root = Path("/tmp/deb")
    shutil.rmtree(root, ignore_errors=True)
    (root / "DEBIAN").mkdir(parents=True)
    fields = {
        "Package": deb["name"],
        "Version": deb["version"],
        "Architecture": deb["arch"],
        "Maintainer": "farm <farm@example.org>",
        "Description": "a package of the farm's tests",
        **deb["fields"],
    }
    text = "".join(f"{key}: {value}\n" for key, value in fields.items())
    (root / "DEBIAN/control").write_text(text)
    for path, of in deb["files"].items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(of, root / path)
    pool.mkdir(parents=True, exist_ok=True)
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(pool))


def make_suite(suite: dict[str, Any], top: Path) -> None:
    """Make one suite: its packages, their lists, and the signed Release file."""
    name, pool = suite["name"], top / "pool" / suite["name"]
    pool.mkdir(parents=True)
    for deb in suite["debs"]:
        make_deb(deb, pool)
    place = top / "dists" / name
    for arch in ("amd64", "arm64", "all"):
        lists = place / f"main/binary-{arch}"
        lists.mkdir(parents=True)
        found = run("apt-ftparchive", "--arch", arch, "packages", f"pool/{name}", cwd=top)
        (lists / "Packages").write_bytes(found)
    for deb in suite["debs"]:
        (file,) = pool.glob(f"{deb['name']}_*_{deb['arch']}.deb")
        if deb["gone"]:
            file.unlink()
        elif deb["damaged"]:
            content = file.read_bytes()
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    fields = {"Suite": name, "Codename": name, "Components": "main"}
    options = [f"APT::FTPArchive::Release::{key}={value}" for key, value in fields.items()]
    options.append("APT::FTPArchive::Release::Architectures=amd64 arm64 all")
    words = [word for option in options for word in ("-o", option)]
    release = run("apt-ftparchive", *words, "release", str(place)).decode()
    made = datetime.now(UTC) - timedelta(days=suite["made_days_ago"])
    lines = [line for line in release.splitlines() if not line.startswith("Date:")]
    lines.insert(0, f"Date: {format_datetime(made, usegmt=True)}")
    if suite["valid_days"]:
        until = made + timedelta(days=suite["valid_days"])
        lines.insert(1, f"Valid-Until: {format_datetime(until, usegmt=True)}")
    (place / "Release").write_text("\n".join(lines) + "\n")
    run(*GPG, "--clearsign", "-o", str(place / "InRelease"), str(place / "Release"))
    run(*GPG, "--detach-sign", "--armor", "-o", str(place / "Release.gpg"), str(place / "Release"))
    if suite["damage"] == "signature":
        for file in (place / "InRelease", place / "Release"):
            file.write_text(file.read_text().replace("Components: main", "Components: mein"))


def main() -> None:
    """Make the archive that standard input describes, in place of an older one of its name."""
    asked = json.load(sys.stdin)
    make_key()
    top = ROOT / asked["name"]
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    for suite in asked["suites"]:
        make_suite(suite, top)
    (top / "weather.json").write_text(json.dumps(asked["weather"]))


if __name__ == "__main__":
    main()
