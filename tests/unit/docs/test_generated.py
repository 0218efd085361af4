"""The documentation says what the code does: its generated parts are up to date, and its links and examples exist."""

import importlib.util
import re
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from drakit.errors import ExitCode

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_up_to_date(generate: ModuleType) -> None:
    assert generate.stale() == [], "run `python docs/generate.py`"


def test_every_part_is_in_a_page(generate: ModuleType) -> None:
    text = "".join(page.read_text() for page in DOCS.glob("*.md"))
    assert sorted(re.findall(r"<!-- generated: ([a-z-]+) -->", text)) == sorted(generate.PARTS)


def test_check_finds_a_stale_page_and_writing_mends_it(generate: ModuleType, tmp_path: Path) -> None:
    page = Path(shutil.copy(DOCS / "exit-codes.md", tmp_path))
    good = page.read_text()
    page.write_text(good.replace("| 7 |", "| 17 |"))

    assert generate.main(["--check"], tmp_path) == 1
    assert "| 17 |" in page.read_text()
    assert generate.main([], tmp_path) == 0
    assert page.read_text() == good
    assert generate.main(["--check"], tmp_path) == 0


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_is_documented(code: ExitCode) -> None:
    row = rf"^\| {code.value} \| `{code.name}` \| \S.* \| \S.* \|$"
    assert re.search(row, (DOCS / "exit-codes.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)[^)]*\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
