"""Every page has its place in the menu."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]


def pages(nav: list[object]) -> list[str]:
    found = []
    for item in nav:
        for value in item.values() if isinstance(item, dict) else [item]:
            found += pages(value) if isinstance(value, list) else [str(value)]
    return found


def test_the_menu_has_every_page_once() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    docs = ROOT / "docs"
    assert sorted(pages(nav)) == sorted(str(path.relative_to(docs)) for path in docs.glob("**/*.md"))
