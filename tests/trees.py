"""Trees of files that git, maturin and the farm may see differently: `tests/docker/test_packed.py`.

Each is a program without dependencies, which compiles in no time, with Python beside it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PYPROJECT = """\
[build-system]
requires = ["maturin>=1,<2"]
build-backend = "maturin"
[project]
name = "sample"
version = "1.0.0"
{project}
[tool.maturin]
bindings = "bin"
{maturin}
"""
CARGO = """\
[package]
name = "sample"
version = "1.0.0"
edition = "2021"
{package}
"""
PLAIN = {
    "Cargo.lock": 'version = 4\n[[package]]\nname = "sample"\nversion = "1.0.0"\n',
    "src/main.rs": "fn main() {}",
    "sample/__init__.py": "",
}
MOVED = {"python/sample/__init__.py": ""}


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One project on the disk."""

    files: Mapping[str, str] = field(default_factory=dict)
    """Below the top; those of the project itself are added below `at`."""
    links: Mapping[str, str] = field(default_factory=dict)
    forced: tuple[str, ...] = ()
    """What is tracked though ignored."""
    git: bool = True
    at: str = "."
    project: str = ""
    maturin: str = ""
    package: str = ""
    gone: frozenset[str] = frozenset()
    """What maturin packs in the tree and the farm does not."""
    more: frozenset[str] = frozenset()
    """What the farm packs beyond that."""

    def write(self, top: Path) -> Path:
        """Write it below `top`; return the project's directory."""
        root = top / self.at
        own = {
            **PLAIN,
            "pyproject.toml": PYPROJECT.format(project=self.project, maturin=self.maturin),
            "Cargo.toml": CARGO.format(package=self.package),
        }
        if 'python-source = "python"' in self.maturin:
            own = {name: text for name, text in own.items() if name != "sample/__init__.py"}
            own |= MOVED
        for place, files in ((root, own), (top, self.files)):
            for name, text in files.items():
                path = place / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        for name, target in self.links.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).symlink_to(target)
        if self.git:
            _git(top, "init", "-q")
            _git(top, "add", "-A")
            if self.forced:
                _git(top, "add", "-f", *self.forced)
        return root


def _git(top: Path, *arguments: str) -> None:
    subprocess.run(("git", *arguments), cwd=top, check=True, capture_output=True)


def _include(*patterns: str) -> str:
    return f"include = [{', '.join(patterns)}]"


TREES = {
    "plain": Tree(files={"sample/data.json": "{}"}),
    "an ignored file that include names": Tree(
        files={".gitignore": "table.txt", "sample/table.txt": "x"},
        maturin=_include('{ path = "sample/table.txt", format = ["sdist", "wheel"] }'),
    ),
    "an ignored file that include names for the sdist only": Tree(
        files={".gitignore": "*.txt", "sample/table.txt": "x", "sample/a.txt": "x"},
        maturin=_include('{ path = "sample/table.txt", format = "sdist" }', '"sample/a.txt"'),
    ),
    "patterns of include": Tree(
        files={
            ".gitignore": "*.bin\ngen/",
            "sample/a.bin": "x",
            "sample/deep/er/b.bin": "x",
            "gen/c.bin": "x",
            "gen/d.txt": "x",
            "other/e.bin": "x",
            "sample/deep/[x]/f.bin": "x",
        },
        maturin=_include('"sample/**/*.bin"', '"gen/?.bin"', '"other/**"', '"gen/[!c].t*"'),
    ),
    "include below python-source": Tree(
        files={".gitignore": "*.bin", "python/sample/a.bin": "x", "python/extra.bin": "x"},
        maturin=f'python-source = "python"\n{_include(chr(34) + "sample/*.bin" + chr(34))}',
    ),
    "ignored Python at the top level": Tree(
        files={".gitignore": "_gen.py", "sample/_gen.py": ""},
    ),
    "ignored Python below the top level": Tree(
        at="bindings",
        files={
            ".gitignore": "_gen.py\nbindings/sample/made/",
            "bindings/sample/_gen.py": "",
            "bindings/sample/made/a.py": "",
        },
    ),
    "ignored Python without git": Tree(
        git=False, files={".gitignore": "_gen.py", "sample/_gen.py": ""}
    ),
    "what a nested .gitignore names": Tree(
        files={
            "sample/.gitignore": "*.json\n!keep.json",
            "sample/a.json": "",
            "sample/keep.json": "",
        }
    ),
    "tracked though ignored": Tree(
        files={".gitignore": "*.json", "sample/a.json": "", "sample/b.json": ""},
        forced=("sample/a.json",),
        more=frozenset({"sample/a.json"}),
    ),
    "a .ignore file": Tree(
        files={"sample/.ignore": "*.json", "sample/a.json": "", ".gitignore": "*.log"}
    ),
    "a .ignore file that git ignores": Tree(
        files={".ignore": "*.json", "sample/a.json": "", ".gitignore": "/.ignore"},
    ),
    "data that is ignored": Tree(
        files={
            ".gitignore": "stuff/data/share/*.dat\n",
            "stuff/data/share/a.dat": "x",
            "stuff/data/share/b.txt": "x",
            "stuff/scripts/run": "#!/bin/sh",
        },
        maturin='data = "stuff"',
    ),
    "data by its usual name, all ignored": Tree(
        files={".gitignore": "sample.data", "sample.data/data/share/a.dat": "x"},
    ),
    "licences that are ignored": Tree(
        files={".gitignore": "LICENSE*\nlegal/", "LICENSE": "x", "legal/a.txt": "x"},
        project='license-files = ["LICENSE*", "legal/*.txt"]',
    ),
    "licences by their usual names": Tree(
        files={".gitignore": "NOTICE*\nCOPYING", "NOTICE.md": "x", "COPYING": "x"},
    ),
    "a licence that Cargo.toml names": Tree(
        files={".gitignore": "terms.txt", "terms.txt": "x"}, package='license-file = "terms.txt"'
    ),
    "packages beside the module": Tree(
        files={
            ".gitignore": "a.bin",
            "python/more/__init__.py": "",
            "python/more/a.bin": "",
            "python/loose/__init__.py": "",
        },
        maturin='python-source = "python"\npython-packages = ["more"]',
    ),
    "exclude is maturin's": Tree(
        files={"sample/a.json": "", "sample/b.json": ""}, maturin='exclude = ["sample/a.json"]'
    ),
    "what exclude keeps out is no difference": Tree(
        at="bindings",
        files={
            ".gitignore": "*.json",
            "bindings/sample/a.json": "",
            "bindings/sample/b.json": "",
            "bindings/sample/node_modules/c.js": "",
        },
        maturin='exclude = ["sample/a.json", "**/node_modules/**"]',
    ),
    "links to files": Tree(
        files={"common/a.json": "", "gen/b.json": "", ".gitignore": "gen/"},
        links={"sample/a.json": "../common/a.json", "sample/b.json": "../gen/b.json"},
    ),
    "links among the data": Tree(
        files={"common/a.json": "", "gen/b.json": "", ".gitignore": "gen/"},
        links={"stuff/data/a.json": "../../common/a.json", "stuff/data/b": "../../gen/b.json"},
        maturin='data = "stuff"',
    ),
    "python-source that is a link": Tree(
        files={".gitignore": "*.bin", "real/sample/__init__.py": "", "real/sample/a.bin": ""},
        links={"linked": "real"},
        maturin='python-source = "linked"\n' + _include('"linked/sample/a.bin"'),
        more=frozenset({"sample/a.bin"}),
    ),
    "a readme that is ignored": Tree(
        files={".gitignore": "*.md", "docs/READ.md": "words"}, project='readme = "docs/READ.md"'
    ),
    "a readme of Cargo.toml that is ignored": Tree(
        files={".gitignore": "*.md", "READ.md": "words"},
        project='dynamic = ["readme"]',
        package='readme = "READ.md"',
    ),
    "links to directories": Tree(
        files={"common/a.json": "", "gen/b.json": "", ".gitignore": "gen/"},
        links={"sample/common": "../common", "sample/gen": "../gen"},
        maturin=_include('"sample/gen/*"', '"sample/common/**/*.json"'),
    ),
    "stale builds": Tree(
        git=False,
        files={
            "sample/__pycache__/a.cpython-311.pyc": "",
            "sample/other.cpython-311-x86_64-linux-gnu.so": "",
            "sample/sample.cpython-311-x86_64-linux-gnu.so": "",
        },
        gone=frozenset(
            {
                "sample/__pycache__/a.cpython-311.pyc",
                "sample/other.cpython-311-x86_64-linux-gnu.so",
            }
        ),
    ),
    "what tools make in a package": Tree(
        git=False,
        files={
            "sample/node_modules/a.js": "",
            "sample/venv/pyvenv.cfg": "",
            "sample/venv/x.py": "",
        },
        gone=frozenset({"sample/node_modules/a.js", "sample/venv/pyvenv.cfg", "sample/venv/x.py"}),
    ),
    "a secret that is ignored": Tree(
        at="bindings",
        files={
            ".gitignore": ".env",
            "bindings/sample/.env": "TOKEN=x",
            "bindings/sample/.keep": "",
        },
        gone=frozenset({"sample/.env"}),
    ),
    "a secret that a wildcard meets": Tree(
        files={".gitignore": ".env\n*.bin", "sample/.env": "TOKEN=x", "sample/a.bin": ""},
        maturin=_include('"sample/*"'),
        gone=frozenset({"sample/.env"}),
    ),
}
