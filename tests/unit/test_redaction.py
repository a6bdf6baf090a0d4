"""Secrets are taken out of whatever text they are in, and the rest of it stays."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.model.errors import FarmError
from farm.model.secrets import redact, redactor, without_secrets

WORDS = st.lists(
    st.sampled_from(
        ["://", "@", ":", "/", "%3A%2F%2F", "%40", "%2f", "https", "git@", " ", '"', "hunter22"]
    )
    | st.text(max_size=4)
).map("".join)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("get https://me:pass@host/simple failed", "get https://***@host/simple failed"),
        ("https://t0ken@host", "https://***@host"),
        ("https://me:p@ss@host/a@b", "https://***@host/a@b"),
        ("sparse+https://me:p%40ss@host/", "sparse+https://***@host/"),
        ("https://host/?to=https%3A%2F%2Fme%3Apass%40other%2F", None),
        ("socks5h://me:pass@[::1]:1080", "socks5h://***@[::1]:1080"),
        (
            "index = \"https://a:b@c\", 'https://d:e@f'",
            "index = \"https://***@c\", 'https://***@f'",
        ),
    ],
)
def test_a_urls_user_and_password_are_hidden(text: str, expected: str | None) -> None:
    assert redact(text) == (expected or "https://host/?to=https%3A%2F%2F***%40other%2F")


@pytest.mark.parametrize(
    "text",
    [
        "ssh://git@github.com/a/b",
        "https://host/a@1.0",
        "path+file:///src#hostile@0.1.0",
        "registry+https://github.com/rust-lang/crates.io-index#libc@0.2.1",
        "write to me@host, see https://host <me@host>",
    ],
)
def test_what_holds_no_secret_stays(text: str) -> None:
    assert redact(text) == text


@given(WORDS)
def test_hiding_once_is_enough(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(WORDS, st.dictionaries(st.sampled_from(["A_TOKEN", "HTTPS_PROXY", "UV_INDEX"]), WORDS))
def test_whatever_an_environment_holds_hiding_never_fails(
    text: str, environment: dict[str, str]
) -> None:
    redactor(environment)(text)


@pytest.mark.parametrize("part", ["://", "a://", "://a", "@", "%3A%2F%2F", "%3a%2f%2fa", "a", "%"])
def test_hiding_takes_time_in_proportion(part: str) -> None:
    started = time.perf_counter()
    redact(part * (2_000_000 // len(part)))
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("HTTPS_PROXY", "me:hunter22@proxy:3128", "hunter22"),
        ("https_proxy", "http://me:hun%2Fter22@proxy:3128", "hun/ter22"),
        ("UV_INDEX", "one=https://h/simple two=https://me:hunter22@h/simple", "hunter22"),
        ("UV_INDEX_URL", "https://ghp_0123456789abcdef@h/simple", "ghp_0123456789abcdef"),
        ("UV_INDEX_URL", "https://0123456789abcdef:x-oauth-basic@h", "0123456789abcdef"),
        ("MY_API_TOKEN", "hunter22", "hunter22"),
    ],
)
def test_what_a_program_was_given_it_does_not_tell(name: str, value: str, secret: str) -> None:
    hide = redactor({name: value})
    assert hide(f"login failed for [{secret}]") == "login failed for [***]"
    assert secret not in hide(f"{name}={value}")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *(("PGPASSWORD", True), ("GH_TOKEN", True), ("TOKEN", True), ("AWS_ACCESS_KEY_ID", True)),
        *(("API_KEY", True), ("CARGO_REGISTRIES_MY_TOKEN", True), ("GITHUB_PAT", True)),
        *(("PATH", False), ("TOKENIZERS_PARALLELISM", False), ("GIT_AUTHOR_NAME", False)),
        ("CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS", False),
    ],
)
def test_a_secret_is_told_by_the_name_of_its_variable(name: str, secret: bool) -> None:  # noqa: FBT001
    assert without_secrets({name: "value"}) == {name: "***" if secret else "value"}


def test_short_words_and_names_of_users_stay() -> None:
    hide = redactor({"HTTPS_PROXY": "http://builder:me@proxy", "TOKEN": "1"})
    assert hide("1 builder for me") == "1 builder for me"


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class Thing:
    argv: tuple[str, ...]
    colour: Colour = Colour.RED
    environment: dict[str, str] = field(default_factory=dict)
    inner: Thing | None = None


def test_a_value_is_copied_without_its_secrets() -> None:
    environment = {"CARGO_REGISTRIES_MY_TOKEN": "s3cret", "INDEX": "https://a:b@c"}
    thing = Thing(argv=("pip", "https://a:b@c"), environment=environment)
    clean = without_secrets(Thing(argv=(), inner=thing)).inner
    assert clean == Thing(
        argv=("pip", "https://***@c"),
        environment={"CARGO_REGISTRIES_MY_TOKEN": "***", "INDEX": "https://***@c"},
    )
    assert clean.colour is Colour.RED


def test_an_error_tells_no_password() -> None:
    error = FarmError("no answer from https://a:b@c", "Try https://a:b@c by hand.")
    assert "a:b" not in f"{error} {error.message} {error.remedy}"
