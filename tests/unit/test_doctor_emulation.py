from __future__ import annotations

from pathlib import Path

import pytest

from farm.engine.emulation import GUESTS, Handler, Table, local_table, read_table, registration
from farm.model.targets import Arch

AARCH64 = GUESTS[Arch.AARCH64]

LISTING = """\
the foreign program runs
qemu-aarch64 version 11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)
Copyright (c) 2003-2026 Fabrice Bellard and the QEMU Project developers
@farm-aarch64
enabled
interpreter /farm/aarch64-binfmt-P
flags: POF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
@jar
enabled
interpreter /usr/bin/jexec
flags:
offset 0
magic 504b0304
@python3.11
enabled
interpreter /usr/bin/python3.11
flags:
extension .pyc
@register
@status
enabled
"""


def test_a_listing_is_read_as_the_kernel_prints_it() -> None:
    table = read_table(LISTING)
    assert table == Table(
        mounted=True,
        handlers=(
            Handler(
                name="farm-aarch64",
                enabled=True,
                interpreter="/farm/aarch64-binfmt-P",
                flags="POF",
                magic=AARCH64.magic,
                mask=AARCH64.mask,
            ),
            Handler(
                name="jar",
                enabled=True,
                interpreter="/usr/bin/jexec",
                flags="",
                magic=b"PK\x03\x04",
                mask=b"\xff" * 4,
            ),
        ),
    )


def test_an_empty_directory_is_one_that_is_not_mounted() -> None:
    assert read_table("") == Table(mounted=False, handlers=())


def test_programs_go_to_the_handler_that_takes_their_header() -> None:
    table = read_table(LISTING)
    assert table.handler(AARCH64) == table.handlers[0]
    assert table.handler(GUESTS[Arch.X86_64]) is None


def test_a_handler_that_is_disabled_takes_nothing() -> None:
    table = read_table(LISTING.replace("@farm-aarch64\nenabled", "@farm-aarch64\ndisabled"))
    assert table.handler(AARCH64) is None


def test_the_farms_handler_is_named_before_others() -> None:
    other = LISTING.replace("@farm-aarch64", "@qemu-aarch64")
    found = read_table(other.replace("@register\n@status\nenabled\n", "") + LISTING)
    handler = found.handler(AARCH64)
    assert handler is not None
    assert handler.name == "farm-aarch64"


@pytest.mark.parametrize(
    ("arch", "magic", "mask"),
    [
        (
            Arch.AARCH64,
            "7f454c460201010000000000000000000200b700",
            "ffffffffffffff00fffffffffffffffffeffffff",
        ),
        (
            Arch.X86_64,
            "7f454c4602010100000000000000000002003e00",
            "fffffffffffefefcfffffffffffffffffeffffff",
        ),
    ],
)
def test_magics_and_masks_are_those_of_qemu(arch: Arch, magic: str, mask: str) -> None:
    assert (GUESTS[arch].magic.hex(), GUESTS[arch].mask.hex()) == (magic, mask)


def test_a_registration_is_what_the_kernel_wants_to_read() -> None:
    line = registration(AARCH64, "/farm/aarch64-binfmt-P")
    _, name, kind, offset, magic, mask, interpreter, flags = line.split(":")
    assert (name, kind, offset) == ("farm-aarch64", "M", "")
    assert bytes.fromhex(magic.replace("\\x", "")) == AARCH64.magic
    assert bytes.fromhex(mask.replace("\\x", "")) == AARCH64.mask
    assert (interpreter, flags) == ("/farm/aarch64-binfmt-P", "OPF")
    assert len(line) < 1920  # the kernel's limit


def test_this_machines_table_is_read_without_an_engine(tmp_path: Path) -> None:
    assert not local_table(tmp_path).mounted
    for part in LISTING.partition("@")[2].split("@"):
        name, _, body = part.partition("\n")
        (tmp_path / name).write_text(body)
    table = local_table(tmp_path)
    assert table.mounted
    assert {h.name for h in table.handlers} == {"farm-aarch64", "jar"}
