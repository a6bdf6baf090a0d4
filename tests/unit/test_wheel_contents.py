from __future__ import annotations

import pytest

from farm.wheels.contents import Contents, Extension

GNU = "cpython-312-x86_64-linux-gnu"


def contents(*files: str) -> Contents:
    return Contents(files=files, stem="p-1")


@pytest.mark.parametrize(
    ("files", "modules"),
    [
        (["a/__init__.py", "a/b.py", "a/c/__init__.py"], ["a"]),
        (["a.py"], ["a"]),
        ([f"a.{GNU}.so"], ["a"]),
        (["a.abi3.so", "a.pyi"], ["a"]),
        (["a/__init__.pyc"], ["a"]),
        ([f"a/__init__.{GNU}.so"], ["a"]),
        (["a.pyi", "b/__init__.pyi", "c-stubs/__init__.pyi"], []),
        (["a/py.typed", "a/data.json"], []),
        (["ns/mod.py", f"ns/_ext.{GNU}.so"], ["ns"]),
        (["ns/one/__init__.py", "ns/two/deep/__init__.py"], ["ns.one", "ns.two.deep"]),
        (["ns/one/__init__.py", "ns/mod.py"], ["ns.one"]),
        (["a.libs/libz-123.so", "a/__init__.py"], ["a"]),
        (["a/__pycache__/b.cpython-312.pyc"], []),
        (["__init__.py", "__main__.py"], []),
        (["p-1.dist-info/METADATA", "p-1.dist-info/x.py"], []),
        (["p-1.data/platlib/a/__init__.py", "p-1.data/purelib/b.py"], ["a", "b"]),
        (["p-1.data/scripts/x.py", "p-1.data/data/share/x.py", "p-1.data/headers/h.py"], []),
        (["p-1.data", "q-1.data/purelib/a.py"], []),
        (["my-scripts/a.py", "a b.py", "1a.py"], []),
        (["libfoo.so"], []),
        (["größe.py"], ["größe"]),
    ],
)
def test_what_to_import_follows_from_the_files(files: list[str], modules: list[str]) -> None:
    assert list(contents(*files).modules()) == modules


@pytest.mark.parametrize(
    ("file", "module", "soabi"),
    [
        (f"a/_b.{GNU}.so", "a._b", GNU),
        ("a/_b.cpython-314t-aarch64-linux-gnu.so", "a._b", "cpython-314t-aarch64-linux-gnu"),
        ("a/_b.abi3.so", "a._b", "abi3"),
        ("a/_b.abi3t.so", "a._b", "abi3t"),
        ("_b.pypy311-pp73-x86_64-linux-gnu.so", "_b", "pypy311-pp73-x86_64-linux-gnu"),
        (f"a/__init__.{GNU}.so", "a", GNU),
        ("p-1.data/platlib/a/_b.abi3.so", "a._b", "abi3"),
    ],
)
def test_extension_modules_are_known_by_their_file_names(
    file: str, module: str, soabi: str
) -> None:
    assert contents(file).extensions(frozenset()) == (
        Extension(module=module, file=file, soabi=soabi),
    )


@pytest.mark.parametrize(
    "file", ["a.libs/libz.so", "a/libz.so.1", "a/libz.1.so", "a-b/_c.abi3.so", "a/_b.dylib"]
)
def test_other_libraries_are_no_extension_modules(file: str) -> None:
    assert contents(file).extensions(frozenset({file})) == ()


def test_a_plain_name_is_an_extension_module_only_if_it_was_seen_to_be_one() -> None:
    files = contents("a/x.so", "a/y.so")
    assert list(files.plain_libraries()) == [("a/x.so", "x"), ("a/y.so", "y")]
    assert files.extensions(frozenset({"a/x.so"})) == (Extension(module="a.x", file="a/x.so"),)


def test_shipped_programs_are_found() -> None:
    assert contents("p-1.data/scripts/b", "p-1.data/scripts/a", "a.py").scripts() == ("a", "b")
