"""What a web server lists: pages that link to files, and to other pages below."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def linked_files(root: str, page: Callable[[str], str]) -> list[str]:
    """Names, relative to a root, of the files that its pages link to.

    A link with a slash at its end is another page; links that lead out of the root, and queries, are passed over.

    Parameters
    ----------
    root
        URL of the first page, without a slash at its end.
    page
        Gives the text of a page by its name relative to the root, of the first one ``""``.
    """
    files: dict[str, None] = {}
    pages = [""]
    for name in pages:  # grows meanwhile
        links = _Links()
        links.feed(page(name))
        base = f"{root}/{name}"
        for link in links.found:
            target = urldefrag(urljoin(base, link)).url.partition("?")[0]
            below = unquote(target.removeprefix(f"{root}/")) if target.startswith(f"{root}/") else ""
            if not below.endswith("/"):
                files.update({below: None} if below else {})
            elif below not in pages:
                pages.append(below)
    return list(files)
