"""Pieces of HTML; whatever comes from data is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape as _escape
from importlib.resources import files

from curator_core.printable import printable


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """Any value as HTML that shows it; `Html` stays as it is."""
    return value if isinstance(value, Html) else Html(_escape(printable(str(value), keep="\n\t")))


def tag(name: str, *content: object, **attributes: object) -> Html:
    """An element; a trailing underscore of an attribute's name is left out (``class_``)."""
    given = "".join(f' {key.rstrip("_")}="{escaped(value)}"' for key, value in attributes.items() if value is not None)
    return Html(f"<{name}{given}>{joined(content)}</{name}>")


def joined(parts: Iterable[object]) -> Html:
    """Values one after the other."""
    return Html("".join(map(escaped, parts)))


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]) -> Html:
    """Rows under their headings.

    Parameters
    ----------
    columns
        Heading and class of every column; class ``n`` is for numbers, ``key`` for keys.
    rows
        The cells.
    """
    head = tag("tr", *(tag("th", title, class_=kind or None) for title, kind in columns))
    body = (
        tag("tr", *(tag("td", cell, class_=kind or None) for cell, (_, kind) in zip(row, columns, strict=True)))
        for row in rows
    )
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="scroll")


def document(title: str, *content: object) -> str:
    """A whole page that loads nothing and runs nothing."""
    style = Html((files("curator_core.report") / "style.css").read_text(encoding="utf-8"))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}{tag("title", title)}<style>{style}</style></head>\n'
        f"<body>{tag('main', *content)}</body></html>\n"
    )
