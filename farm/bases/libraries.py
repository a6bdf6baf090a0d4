"""Which Debian package has what a linker, a C compiler or a build script did not find.

Common ones only, as data; the names are those of bookworm and trixie alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Library:
    """A library's development package."""

    package: str
    names: tuple[str, ...]
    """What linkers (`-lNAME`) and pkg-config call it."""
    headers: tuple[str, ...] = ()
    """Its headers; a directory of them ends with a slash."""


def _library(package: str, names: str, headers: str = "") -> Library:
    return Library(package=package, names=tuple(names.split()), headers=tuple(headers.split()))


LIBRARIES = (
    _library("libasound2-dev", "asound alsa", "alsa/"),
    _library("libbz2-dev", "bz2 bzip2", "bzlib.h"),
    _library("libcairo2-dev", "cairo", "cairo.h cairo/"),
    _library("libcurl4-openssl-dev", "curl libcurl", "curl/"),
    _library("libdbus-1-dev", "dbus-1", "dbus/"),
    _library("libelf-dev", "elf libelf", "libelf.h gelf.h"),
    _library("libexpat1-dev", "expat", "expat.h"),
    _library("libffi-dev", "ffi libffi", "ffi.h"),
    _library("libfontconfig-dev", "fontconfig", "fontconfig/"),
    _library("libfreetype-dev", "freetype freetype2", "ft2build.h freetype/"),
    _library("libfuse3-dev", "fuse3", "fuse3/"),
    _library("libgit2-dev", "git2 libgit2", "git2.h git2/"),
    _library("libglib2.0-dev", "glib-2.0 gobject-2.0 gio-2.0", "glib.h glib-object.h"),
    _library("libgmp-dev", "gmp", "gmp.h"),
    _library("libgtk-3-dev", "gtk-3 gtk+-3.0", "gtk/"),
    _library("libhdf5-dev", "hdf5", "hdf5.h"),
    _library("libjpeg62-turbo-dev", "jpeg libjpeg", "jpeglib.h"),
    _library("libkrb5-dev", "krb5 gssapi_krb5 krb5-gssapi", "krb5.h gssapi/"),
    _library("liblapack-dev", "lapack"),
    _library("libldap-dev", "ldap", "ldap.h"),
    _library("liblz4-dev", "lz4 liblz4", "lz4.h"),
    _library("liblzma-dev", "lzma liblzma", "lzma.h"),
    _library("libmariadb-dev", "mariadb libmariadb", "mariadb/"),
    _library("libmpfr-dev", "mpfr", "mpfr.h"),
    _library("libncurses-dev", "ncurses ncursesw tinfo", "ncurses.h curses.h"),
    _library("libnuma-dev", "numa", "numa.h"),
    _library("libopenblas-dev", "openblas", "cblas.h"),
    _library("libpcap-dev", "pcap libpcap", "pcap.h pcap/"),
    _library("libpng-dev", "png png16 libpng libpng16", "png.h"),
    _library("libpq-dev", "pq libpq", "libpq-fe.h postgresql/"),
    _library("libproj-dev", "proj", "proj.h"),
    _library("libpulse-dev", "pulse libpulse", "pulse/"),
    _library("librdkafka-dev", "rdkafka", "librdkafka/"),
    _library("libreadline-dev", "readline", "readline/"),
    _library("libseccomp-dev", "seccomp libseccomp", "seccomp.h"),
    _library("libsnappy-dev", "snappy", "snappy.h snappy-c.h"),
    _library("libsodium-dev", "sodium libsodium", "sodium.h"),
    _library("libsqlite3-dev", "sqlite3", "sqlite3.h"),
    _library("libssh2-1-dev", "ssh2 libssh2", "libssh2.h"),
    _library("libssl-dev", "ssl crypto openssl libssl libcrypto", "openssl/"),
    _library("libsystemd-dev", "systemd libsystemd", "systemd/"),
    _library("libtiff-dev", "tiff libtiff-4", "tiffio.h"),
    _library("libudev-dev", "udev libudev", "libudev.h"),
    _library("libusb-1.0-0-dev", "usb-1.0 libusb-1.0", "libusb-1.0/"),
    _library("libwayland-dev", "wayland-client wayland-server", "wayland-client.h"),
    _library("libx11-dev", "X11 x11", "X11/"),
    _library("libxcb1-dev", "xcb", "xcb/"),
    _library("libxml2-dev", "xml2 libxml-2.0", "libxml/"),
    _library("libxslt1-dev", "xslt libxslt", "libxslt/"),
    _library("libzmq3-dev", "zmq libzmq", "zmq.h"),
    _library("libzstd-dev", "zstd libzstd", "zstd.h"),
    _library("unixodbc-dev", "odbc", "sql.h sqlext.h"),
    _library("uuid-dev", "uuid", "uuid/"),
    _library("zlib1g-dev", "z zlib", "zlib.h"),
)

PROGRAMS: Mapping[str, str] = {
    **{name: name for name in ("autoconf", "automake", "bison", "clang", "cmake", "flex", "git")},
    **{name: name for name in ("gfortran", "m4", "make", "meson", "nasm", "perl", "yasm")},
    "aclocal": "automake",
    "autoreconf": "autoconf",
    "capnp": "capnproto",
    "flatc": "flatbuffers-compiler",
    "go": "golang-go",
    "libtoolize": "libtool",
    "llvm-config": "llvm-dev",
    "msgfmt": "gettext",
    "ninja": "ninja-build",
    "pkg-config": "pkgconf",
    "protoc": "protobuf-compiler",
}
"""The package of each program that builds commonly call."""


def _index(pairs: Iterable[tuple[tuple[str, ...], str]]) -> Mapping[str, str]:
    return {name: package for names, package in pairs for name in names}


_BY_NAME = _index((library.names, library.package) for library in LIBRARIES)
_BY_HEADER = _index((library.headers, library.package) for library in LIBRARIES)


def package_of_library(name: str) -> str:
    """Return the package of a library, by its linker's or pkg-config's name, or an empty string."""
    return _BY_NAME.get(name, "")


def package_of_header(path: str) -> str:
    """Return the package of a header, as `#include` names it, or an empty string."""
    directory, slash, _ = path.partition("/")
    return _BY_HEADER.get(path) or _BY_HEADER.get(directory + slash, "")
