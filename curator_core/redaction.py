"""Secrets taken out of texts, in the forms in which messages show them."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus, urlsplit

from curator_core.errors import ConfigError

MASK = "***"
_SHORT = 4
"""Characters below which a secret is taken out only where it is quoted or follows a sign: any word may hold it."""
_GAP = r"(?:\s|\\[nr])*"
_LONG = 12
"""Characters from which a secret is looked for with line breaks in it."""
_LINE = 8
"""Characters from which a part of a secret, such as one of its lines, counts as one."""


class Redactor:
    """Replaces secrets by ``***``: as they are, quoted, escaped, percent-encoded or in base64.

    Parameters
    ----------
    secrets
        The secret texts.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        whole = {part for secret in secrets for part in _parts_of(secret)}
        forms = {form for secret in whole if len(secret) >= _SHORT for form in _forms(secret) if len(form) >= _SHORT}
        ordered = sorted(forms, key=lambda form: (-len(form), form))
        short = sorted({re.escape(secret) for secret in whole if 0 < len(secret) < _SHORT})
        rules = [_rule(form) for form in ordered]
        rules += [_broken(form) for form in sorted(whole) if len(form) >= _LONG]
        rules += [f"(?<=['\"=:])(?:{'|'.join(short)})(?=['\"&;,@\\s]|$)"] if short else []
        self._found = re.compile("|".join(rules)) if rules else None

    def __call__(self, text: str) -> str:
        """The text without the secrets."""
        return text if self._found is None else self._found.sub(MASK, text)


_known: set[str] = set()


def secret_variable(name: object, where: str) -> str:
    """A secret from the environment, which is kept out of what this process shows from now on, see `without_known`.

    Raises
    ------
    ConfigError
        There is no such variable; the message names `where`.
    """
    if not isinstance(name, str) or name not in os.environ:
        raise ConfigError(f"{where}: there is no environment variable {name!r}.")
    _known.add(os.environ[name])
    return os.environ[name]


def without_known(text: str) -> str:
    """The text without the secrets that are remembered."""
    return Redactor(_known)(text) if _known else text


def _rule(form: str) -> str:
    rule = re.escape(form)
    return rf"(?<!\d){rule}(?!\d)" if form.isdecimal() and len(form) <= _LINE else rule


def _broken(secret: str) -> str:
    """A long secret that is broken into lines at any place, as wrapped texts and encoded mails are."""
    text = "".join(secret.split())
    encoded = base64.b64encode(secret.encode(errors="surrogatepass")).decode()
    return "|".join(rf"{_GAP}".join(map(re.escape, form)) for form in (text, encoded))


def _parts_of(secret: str) -> Iterator[str]:
    """The secret and what of it is one by itself: a line, what follows ``Bearer``, the password of a URL."""
    yield secret
    yield from (part for part in (line.strip() for line in secret.splitlines()) if len(part) >= _LINE)
    scheme, _, rest = secret.partition(" ")
    if rest and scheme.lower() in ("bearer", "basic", "token", "digest", "apikey"):
        yield rest.strip()
    if "://" in secret:
        try:
            password = urlsplit(secret).password
        except ValueError:  # no URL
            return
        if password:
            yield password


def _forms(secret: str) -> Iterator[str]:
    quoted = repr(secret)[1:-1]
    escaped = (secret, quoted, quoted.replace("'", "\\'"), quoted.replace('"', '\\"'), ascii(secret)[1:-1])
    for form in (*escaped, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield form
        again = repr(form)[1:-1]  # quoted once more, as in the text of an error that wraps another
        yield again
        yield again.replace("'", "\\'")
        yield json.dumps(form)[1:-1]
    data = secret.encode(errors="surrogatepass")
    yield repr(data)[2:-1]
    yield data.hex()
    yield data.hex().upper()
    for safe in ("", "/", "/:@!$&'()*+,;=~"):
        percent = quote(data, safe=safe)
        yield percent
        yield re.sub("%..", lambda found: found.group().lower(), percent)
    yield quote_plus(data)
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    yield shlex.quote(secret)
    yield from _encoded(data)


def _encoded(data: bytes) -> Iterator[str]:
    """What base64 makes of it inside any text, as that of user and password: three ways, by where it begins."""
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + data).decode().rstrip("=")
        first = (offset * 8 + 5) // 6
        inner = whole[first : ((offset + len(data)) * 8) // 6]
        if len(inner) >= _LINE or offset == 0:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")
