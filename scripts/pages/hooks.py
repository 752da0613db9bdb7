"""Hooks of mkdocs: the site has the README as its first page, and every file of the repository that a page links to.

A link is written as it works in the repository (``../results/README.md``); here it becomes one within the site, and the
file that it names is copied there. A link to what is not there, or not in the repository, is left to mkdocs, which
refuses it.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))  # hooks are loaded by their path

from pages.columns import columns_page  # noqa: E402

_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the README as index.md, generated pages, and whatever pages link to outside of docs/, pages among it."""
    files.append(File.generated(config, "reference/columns.md", content=columns_page()))
    own = [ROOT / "docs" / file.src_uri for file in files.documentation_pages() if not file.generated_by]
    waiting = [*own, *filter(None, (origin(uri) for uri in _named(config["nav"])))]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if files.get_file_from_path(place(path)) is None:
            files.append(File.generated(config, place(path), abs_src_path=str(path)))
        if path.suffix == ".md":
            waiting += _linked(path)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of a page as they are within the site."""
    source = origin(page.file.src_uri)
    if source is None:
        return markdown
    folder = posixpath.dirname(page.file.src_uri)

    def within(match: re.Match[str]) -> str:
        path = _file(source, match[2])
        return match[0] if path is None else match[1] + posixpath.relpath(place(path), folder or ".") + match[3]

    return "".join(part if k % 2 else _LINK.sub(within, part) for k, part in enumerate(_parts(markdown)))


def place(path: Path) -> str:
    """Where a file of the repository stands in the site."""
    inside = path.relative_to(ROOT).as_posix()
    if inside == "README.md":
        return "index.md"
    return inside.removeprefix("docs/") if inside.startswith("docs/") else f"repository/{inside}"


def origin(uri: str) -> Path | None:
    """The file of the repository that stands at a place in the site; None where it was generated."""
    if uri == "index.md":
        return ROOT / "README.md"
    path = ROOT / uri.removeprefix("repository/") if uri.startswith("repository/") else ROOT / "docs" / uri
    return path if path.is_file() else None


def _named(nav: Any) -> Iterator[str]:
    """The pages of the navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from _named(part)


def _linked(page: Path) -> Iterator[Path]:
    for k, part in enumerate(_parts(page.read_text(encoding="utf-8"))):
        if not k % 2:
            yield from filter(None, (_file(page, match[2]) for match in _LINK.finditer(part)))


def _file(page: Path, target: str) -> Path | None:
    """The file of the repository that a link names."""
    if re.match(r"[a-z]+:", target):
        return None
    path = (page.parent / target).resolve()
    path = path / "README.md" if path.is_dir() else path
    return path if path.is_file() and path.is_relative_to(ROOT) else None


def _parts(markdown: str) -> list[str]:
    """Text and code in turn."""
    parts, end = [], 0
    for match in _CODE.finditer(markdown):
        parts += [markdown[end : match.start()], match[0]]
        end = match.end()
    return [*parts, markdown[end:]]
