"""The floor plan: docs/architecture.md against the tree and the layers contract, and the size of the rooms."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bon_eval"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
LAYERS = [[name.strip() for name in line.split("|")] for line in CONTRACTS[0]["layers"]]


def modules() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "assets" not in p.relative_to(PACKAGE).parts)


def test_every_path_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:bon_eval|tasks|scripts|results|docs|tests)/[^`\s]+)`", PAGE)
    assert len(named) > 40
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_picture_shows_every_package_and_no_arrow_that_the_contract_forbids() -> None:
    picture = PAGE.split("```mermaid")[1].split("```")[0]
    arrows = re.findall(r"(\w+) --> (\w+)", picture)
    floor = {name: k for k, names in enumerate(LAYERS) for name in names}
    assert {name for arrow in arrows for name in arrow} == set(floor)
    assert [arrow for arrow in arrows if floor[arrow[0]] >= floor[arrow[1]]] == []


def test_the_contract_names_all_rooms_and_no_exception() -> None:
    rooms = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    ground = {p.stem for p in PACKAGE.glob("*.py")} - {"__init__"}
    assert {name for names in LAYERS for name in names} == rooms | ground
    assert len(rooms) <= 13
    assert ground == {"errors", "records", "draws", "config"}
    assert not [contract for contract in CONTRACTS if contract.get("ignore_imports")]


def test_every_folder_of_modules_is_a_package() -> None:
    # import-linter does not see the others.
    assert [str(folder) for folder in {p.parent for p in modules()} if not (folder / "__init__.py").is_file()] == []


def test_rooms_are_small() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in modules()}
    assert {path: lines for path, lines in lengths.items() if lines > 300} == {}
    folders = {p.parent for p in modules()}
    counts = {str(f.relative_to(ROOT)): len(list(f.glob("*.py"))) for f in folders}
    assert {folder: count for folder, count in counts.items() if count > 15} == {}
