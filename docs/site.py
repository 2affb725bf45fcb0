"""What the site does beyond docs/: pages that lie with what they are about, and links that hold in both places."""

import re
from pathlib import Path

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
# Page of the site -> file of the repository.
ELSEWHERE = {
    "starter.md": "src/cellular/segment/model/starter/card.md",
    "nuclei.md": "src/cellular/segment/model/nuclei/card.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
_CARD = re.compile(r"\(\.\./src/cellular/segment/model/(\w+)/card\.md\)")


def on_files(files: Files, config: object) -> Files:
    """Called by MkDocs with what lies in docs/."""
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Called by MkDocs with each page's text."""
    markdown = _CARD.sub(r"(\1.md)", markdown)
    for folder in ("../../../../../docs/", "docs/"):
        markdown = markdown.replace(f"]({folder}", "](")
    return markdown.replace("](README.md#where-things-are)", "](decisions.md)")
