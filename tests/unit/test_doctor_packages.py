from __future__ import annotations

from farm.host.packages import Outlook, read_simulation

INSTALL = """\
NOTE: This is only a simulation!
      apt-get needs root privileges for real execution.
Reading package lists...
The following NEW packages will be installed:
  mmdebstrap
Inst debian-archive-keyring [2021.1] (2023.3 Debian:12/stable [all])
Inst mmdebstrap (1.3.5-7 Debian:12.11/stable [all])
Inst libfoo:i386 (1 Debian:12/stable [i386])
Conf mmdebstrap (1.3.5-7 Debian:12.11/stable [all])
"""

PURGE = """\
Purg mmdebstrap [1.3.5-7]
Remv something-else [2]
Purg mmdebstrap [1.3.5-7]
"""


def test_new_packages_are_told_apart_from_upgrades() -> None:
    assert read_simulation(INSTALL) == Outlook(
        installs=("mmdebstrap", "libfoo:i386"), upgrades=("debian-archive-keyring",), removes=()
    )


def test_what_a_purge_would_take_along_is_seen() -> None:
    assert read_simulation(PURGE).removes == ("mmdebstrap", "something-else")
