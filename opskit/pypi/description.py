"""Core metadata for people: summary, links, dependencies, and the description as safe HTML.

Raw HTML in a description is shown as text, links go to http, https and mailto only, and no image is fetched
from elsewhere: a page of this index tells nobody that it was read.
"""

from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import urlsplit

_LONGEST = 512 * 1024  # characters; a longer description is shown as plain text
_SCHEMES = ("http", "https", "mailto", "")


@dataclass(frozen=True)
class Described:
    """What a project page shows of a file's metadata. `html` is safe to put into a page."""

    summary: str
    author: str
    license: str
    requires_python: str
    requires: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    html: str


@lru_cache(maxsize=256)
def describe(raw: bytes) -> Described:
    """Read the metadata of one distribution."""
    from packaging.metadata import parse_email

    told, _ = parse_email(raw)
    links = dict(told.get("project_urls", {}))
    if home := told.get("home_page"):
        links = {"Homepage": home} | links
    safe = tuple(
        (name, target) for name, target in links.items() if is_safe_link(target) and urlsplit(target).scheme
    )
    return Described(
        told.get("summary", ""),
        told.get("author") or told.get("author_email") or told.get("maintainer_email", ""),
        (told.get("license_expression") or told.get("license", ""))[:100], told.get("requires_python", ""),
        tuple(told.get("requires_dist", ())), safe,
        _as_html(told.get("description", ""), told.get("description_content_type", "")),
    )  # fmt: skip


def is_safe_link(target: str) -> bool:
    try:
        return urlsplit(target.strip()).scheme.lower() in _SCHEMES
    except ValueError:
        return False


def _as_html(text: str, content_type: str) -> str:
    kind = content_type.partition(";")[0].strip().lower()
    if not text.strip():
        return ""
    if len(text) > _LONGEST or kind == "text/plain":
        return f"<pre>{escape(text)}</pre>"
    if kind == "text/markdown":
        return _markdown(text)
    return _rst(text) or f"<pre>{escape(text)}</pre>"


def _markdown(text: str) -> str:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("js-default", {"html": False})
    parser.validateLink = is_safe_link  # type: ignore[method-assign,assignment]
    parser.add_render_rule("image", _image_as_text)
    return str(parser.render(text))


def _image_as_text(_self: Any, tokens: Any, index: int, _options: Any, _env: Any) -> str:
    return f"<em>{escape(tokens[index].content)}</em>"


def _rst(text: str) -> str:
    """Nothing for what docutils cannot read. Nothing is included, nothing raw passes."""
    from docutils import nodes
    from docutils.core import publish_doctree, publish_from_doctree
    from docutils.utils import SystemMessage

    settings = {
        "file_insertion_enabled": False, "raw_enabled": False, "halt_level": 4, "report_level": 5,
        "embed_stylesheet": False, "stylesheet_path": None, "syntax_highlight": "none",
        "math_output": "MathML",
        "_disable_config": True, "initial_header_level": 2, "smart_quotes": False,
    }  # fmt: skip
    try:
        tree = publish_doctree(text, settings_overrides=settings)
        _tame(tree, nodes)
        parts = publish_from_doctree(
            tree, writer="html5", settings_overrides={**settings, "output_encoding": "unicode"}
        )
    except (SystemMessage, ValueError, RecursionError, NotImplementedError, AttributeError):
        return ""
    body = str(parts)
    return body[body.index("<body") : body.rindex("</body>")].partition(">")[2]


def _tame(tree: Any, nodes: Any) -> None:
    """Take out of the document tree what must not reach a page."""
    for node in list(tree.findall(nodes.raw)) + list(tree.findall(nodes.system_message)):
        node.parent.remove(node)
    for image in list(tree.findall(nodes.image)):
        image.replace_self(nodes.emphasis("", image.get("alt", "")))
    for reference in tree.findall(nodes.reference):
        if not is_safe_link(reference.get("refuri", "")):
            del reference["refuri"]
            reference["refid"] = "top"
