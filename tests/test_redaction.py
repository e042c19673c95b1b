"""Secrets: found wherever the marker stands, and taken out of every text in whatever form."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import TYPE_CHECKING, Annotated, TypedDict
from urllib.parse import quote

import pytest

from curator_core import SECRET, Filter, Param, Pipeline, redaction
from curator_core.cli.failure import message_lines
from curator_core.errors import ConfigError
from curator_core.pipeline.config import build_component, component_config
from curator_core.redaction import Redactor
from curator_core.session.listing import Listing
from curator_core.testing import FaultySource, JsonSink, NumbersSource

if TYPE_CHECKING:
    from nowhere import Frame

package = None
Key = Annotated[str, SECRET]


class Options(TypedDict):
    """A typed dictionary with a secret."""

    user: str
    key: Key


@dataclasses.dataclass
class Login:
    """A dataclass with a secret field."""

    user: str
    key: Annotated[str, SECRET]


class Base(NumbersSource):
    """Takes a secret."""

    def __init__(self, key: Key, n: int = 1) -> None:
        super().__init__(n)


class PassesOn(Base):
    """Passes everything on."""

    def __init__(self, *args, tag: str = "", **kwargs) -> None:
        super().__init__(*args, **kwargs)


class Repeats(Base):
    """Names the parameter again, without the marker."""

    def __init__(self, key: str) -> None:
        super().__init__(key)


class Describes(Base):
    """Lists its parameters itself, and says nothing of a secret."""

    @classmethod
    def params(cls):
        return [Param("key"), Param("n")]


def source(annotation):
    """A source with a parameter `it` of this annotation."""

    class Made(NumbersSource):
        def __init__(self, it, other: Frame | None = None) -> None:
            super().__init__(1)

    Made.__init__.__annotations__["it"] = annotation
    return Made


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("Annotated[str, SECRET] | None", "hunter2"),
        ("list[Annotated[str, SECRET]]", ["hunter2"]),
        ("dict[str, Key]", {"a": "hunter2"}),
        ("Annotated[dict[str, str] | None, 'doc', SECRET]", {"a": "hunter2"}),
        ("Options", {"user": "u", "key": "hunter2"}),
        ("Annotated[Frame, SECRET]", "hunter2"),
        ("Annotated[package.Frame, SECRET] | None", "hunter2"),
        ("'Annotated[Frame, SECRET]'", "hunter2"),
        (Annotated["Frame", SECRET], "hunter2"),
        (Key | None, b"hunter2"),
        ("Login | None", Login("u", "hunter2")),
        ("Frame | Key", "hunter2"),
    ],
)
def test_the_marker_is_found(annotation, value):
    """Wherever it stands in an annotation, also in one that cannot be resolved."""
    found = source(annotation)(value)
    assert "hunter2" not in json.dumps(component_config(found))
    assert "hunter2" in "".join(found.secret_values())


@pytest.mark.parametrize("kind", [PassesOn, Repeats, Describes])
def test_the_marker_of_a_parent_holds(kind):
    """A subclass that passes a secret on keeps it, by position and by name."""
    for made in (kind("hunter2"), kind(key="hunter2")):
        assert "hunter2" not in json.dumps(component_config(made))
        assert made.secret_values() == ["hunter2"]


def test_secrets_of_components_within(tmp_path):
    """A component that is an argument keeps its secrets, too."""
    outer = FaultySource(Base("hunter2"), str(tmp_path))
    assert "hunter2" not in json.dumps(component_config(outer))
    assert outer.secret_values() == ["hunter2"]


def test_another_secret_is_no_other_configuration():
    """A token that is exchanged changes no hash."""
    first, second = (Pipeline(PassesOn(token), sink=JsonSink("o")).config_hash for token in ("one", "two"))
    assert first == second


SECRETS = [
    "hunter2/+&x",
    "LAB\\user:it's\n",
    "pässwörd €",
    "a\"b'c\\d",
    "-----BEGIN-----\nMIIEowIBAAKCAQEA\n-----END-----",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_every_form_is_taken_out(secret):
    """As it is, quoted once and twice, in JSON, in bytes, percent-encoded, and in base64 of user and password."""
    forms = [
        secret,
        repr(secret),
        repr({"a": [secret]}),
        repr(str({"a": secret})),
        str(KeyError(secret)),
        json.dumps({"a": secret}),
        json.dumps(json.dumps({"a": secret})),
        repr(secret.encode()),
        quote(secret),
        quote(secret, safe="").lower() if secret.isascii() and secret.islower() else quote(secret, safe=""),
    ]
    cleaned = Redactor([secret])
    for form in forms:
        assert "***" in cleaned(f"before {form} after"), form
        assert cleaned(f"before {form} after").startswith("before ")
    for user in ("u", "me", "you"):
        token = base64.b64encode(f"{user}:{secret}".encode()).decode()
        assert "***" in cleaned(f"Authorization: Basic {token}")


def test_a_part_that_is_a_secret_itself():
    """What follows Bearer, and the password of a URL, are taken out alone, too."""
    assert Redactor(["Bearer abcdef123"])("bad token abcdef123") == "bad token ***"
    assert Redactor(["postgres://me:s3cr3t@host/db"])("password s3cr3t is wrong") == "password *** is wrong"


def test_a_short_secret_does_not_mangle_texts():
    """One letter is taken out where it stands as a value, and not out of every word."""
    cleaned = Redactor(["a", ""])
    assert cleaned("a bad example at a place") == "a bad example at a place"
    assert cleaned("login with token='a' or key=a&x") == "login with token='***' or key=***&x"
    assert Redactor([])("nothing") == "nothing"


def test_filters_keep_what_is_no_secret():
    """A parameter without a marker stays, also beside annotations that cannot be resolved."""

    class Plain(Filter[int]):
        def __init__(self, size: int, frame: Frame | None = None) -> None:
            pass

        def __call__(self, items):
            yield from items

    assert component_config(Plain(3))["params"] == {"size": 3, "frame": None}


def test_a_long_secret_is_found_across_line_breaks():
    """Texts are wrapped, and encoded mails are, wherever the break falls; hexadecimal may be in capitals."""
    secret = "a-long-secret of 30 characters"
    cleaned = Redactor([secret])
    encoded = base64.encodebytes((secret * 3).encode()).decode()
    for first, second in (("a-long-se\ncret of 30", " characters"), ("a-long-secret\n   of 30\n", "characters")):
        text = first + second
        assert cleaned(f"<{text}>") == "<***>", text
    assert "\n" in encoded
    assert "***" in Redactor([secret * 3])(encoded)
    assert cleaned(secret.encode().hex().upper()) == "***"
    assert cleaned("a-long-secret is no secret") == "a-long-secret is no secret"


class Unlistable(NumbersSource):
    """Fails with its secret in the text when it is asked for a key or a fingerprint."""

    def __init__(self, key: Key, n_bad: int) -> None:
        super().__init__(2)
        self.secret = key
        self.n_bad = n_bad

    def key(self, index):
        if index < self.n_bad:
            raise ValueError(f"no access with {self.secret}")
        return super().key(index)

    def fingerprint(self, index):
        raise ValueError(f"no access with {self.secret}")


@pytest.mark.parametrize("n_bad", [0, 1])
def test_a_listing_that_fails_tells_no_secret(caplog, n_bad):
    """What is logged of keys and fingerprints that cannot be had is cleaned as errors of items are."""
    Listing.of(Unlistable("hunter2-hunter3", n_bad))
    assert "no access with ***" in caplog.text
    assert "hunter2" not in caplog.text
    with pytest.raises(ConfigError, match=r"no access with \*\*\*"):
        Listing.of(Unlistable("hunter2-hunter3", 2))


def test_what_a_command_says_has_no_secret_from_the_environment(monkeypatch):
    """A value that a file takes from a variable is remembered, and kept out of errors of any kind."""
    monkeypatch.setattr(redaction, "_known", set())
    monkeypatch.setenv("CURATOR_TEST_KEY", "hunter2-hunter3")
    entry = {"component": f"{Repeats.__module__}:Repeats", "params": {"key": {"$env": "CURATOR_TEST_KEY"}}}
    build_component(entry, NumbersSource, where="here")
    error = ConnectionError("http://me:hunter2-hunter3@host")
    shown = "\n".join(message_lines(error, show_traceback=True))
    assert "hunter2" not in shown
    assert "http://me:***@host" in shown


@dataclasses.dataclass
class Server:
    """Holds a secret further in."""

    logins: dict[str, list[Login]]


class Connected(NumbersSource):
    """Takes secrets of several shapes."""

    def __init__(
        self,
        login: Login | None = None,
        server: Server | None = None,
        headers: Annotated[dict[str, str] | None, SECRET] = None,
        pin: Annotated[int, SECRET] = 0,
        plain: str = "",
    ) -> None:
        super().__init__(1)
        self.given = (login, server, headers, pin)


def _connected(tmp_path, **params):
    path = tmp_path / "given.json"
    entry = {"component": f"{Connected.__module__}:Connected", "params": params}
    path.write_text(json.dumps({"curator": 1, "source": entry}), encoding="utf-8")
    return Pipeline.load(path)


@pytest.fixture
def variables(monkeypatch):
    """Two secrets in the environment."""
    monkeypatch.setattr(redaction, "_known", set())
    monkeypatch.setenv("CURATOR_TEST_KEY", "hunter2-hunter3")
    monkeypatch.setenv("CURATOR_TEST_PIN", "5512")


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize(
    ("params", "meant"),
    [
        ({"login": {"user": "u", "key": {"$env": "CURATOR_TEST_KEY"}}}, Connected(Login("u", "hunter2-hunter3"))),
        (
            {"server": {"logins": {"a": [{"user": "u", "key": {"$env": "CURATOR_TEST_KEY"}}]}}},
            Connected(server=Server({"a": [Login("u", "hunter2-hunter3")]})),
        ),
        ({"headers": {"X": {"$env": "CURATOR_TEST_KEY"}}}, Connected(headers={"X": "hunter2-hunter3"})),
        ({"pin": {"$env": "CURATOR_TEST_PIN"}}, Connected(pin=5512)),
    ],
    ids=["field", "deep", "mapping", "number"],
)
def test_a_secret_within_a_value_comes_from_a_variable(tmp_path, params, meant):
    """What has secret fields is saved without them, and a file gives them wherever they stand."""
    found = _connected(tmp_path, **params)
    assert isinstance(found.source, Connected)
    assert found.source.given == meant.given
    assert found.source.secret_values() == meant.secret_values()
    again = tmp_path / "again.yaml"
    Pipeline(meant).save(again)
    assert "hunter2" not in again.read_text()
    assert "5512" not in again.read_text()


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"plain": {"$env": "CURATOR_TEST_KEY"}}, "write the value itself"),
        ({"pin": {"$env": "CURATOR_TEST_KEY"}}, "pin must be int"),
        ({"login": {"user": "hunter2-hunter3"}}, "it needs key"),
        ({"login": {"user": 5, "key": "hunter2-hunter3"}}, "user must be str"),
        ({"server": {"logins": {"a": [{"user": 5, "key": "hunter2-hunter3"}]}}}, "server must be"),
        ({"headers": {"X": 5, "Y": "hunter2-hunter3"}}, "headers must be"),
        ({"login": {"user": "u", "key": {"$env": "NO_SUCH"}}}, "NO_SUCH"),
    ],
)
def test_a_value_with_secrets_that_does_not_fit_is_not_shown(tmp_path, params, problem):
    """The error names the parameter and what is missing, and no value."""
    with pytest.raises(ConfigError, match=problem) as caught:
        _connected(tmp_path, **params)
    assert "hunter2" not in str(caught.value)
