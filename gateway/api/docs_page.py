"""The documentation page: the OpenAPI schema as one plain HTML page, without scripts and without other servers."""

import html
import json
from collections.abc import Iterable
from typing import Any

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}td,th{border-bottom:1px solid #ddd;padding:.3rem .6rem;
text-align:left;vertical-align:top}code,pre{font:14px ui-monospace,monospace;background:#f4f4f4}
pre{padding:1rem;overflow:auto}
h2{border-top:2px solid #333;padding-top:1rem;margin-top:2.5rem}td:first-child{white-space:nowrap}"""


class PlainPage(OpenAPIRenderPlugin):
    """Litestar's own pages load their scripts from a content network; this one works behind any wall."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        info = openapi_schema["info"]
        operations = [
            _operation(openapi_schema, method, path, operation)
            for path, methods in openapi_schema["paths"].items()
            for method, operation in methods.items()
        ]
        schemas = openapi_schema.get("components", {}).get("schemas", {})
        bodies = [_fields(openapi_schema, name, schema) for name, schema in schemas.items()]
        title = html.escape(f"{info['title']} {info['version']}")
        parts = [f"<h1>{title}</h1>", _markdown(info.get("description", "")), *operations, "<h2>Bodies</h2>", *bodies]
        head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{title}</title>"
        return (
            f"<!doctype html><html lang=en>{head}<style>{_STYLE}</style><body>{''.join(parts)}</body></html>".encode()
        )


def _operation(whole: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    head = f"<h2><code>{method.upper()} {html.escape(path)}</code> {html.escape(operation.get('summary', ''))}</h2>"
    form = operation.get("requestBody", {}).get("content", {}).get("multipart/form-data", {}).get("schema")
    answers = [
        (
            status,
            _inline(", ".join(answer.get("content", {}))),
            _inline(answer.get("description", "")) + _extras(answer),
        )
        for status, answer in operation.get("responses", {}).items()
    ]
    fields = _fields(whole, "Form fields", form) if form else ""
    return head + _markdown(operation.get("description", "")) + fields + _table(("Status", "Type", "Answer"), answers)


def _extras(answer: dict[str, Any]) -> str:
    described = [
        media["schema"].get("description") for media in answer.get("content", {}).values() if "schema" in media
    ]
    notes = "".join(f"<p>{_inline(text)}</p>" for text in described if text)
    headers = [
        (f"<code>{html.escape(name)}</code>", _inline(header.get("description", "")))
        for name, header in answer.get("headers", {}).items()
    ]
    examples = [
        _example(example)
        for media in answer.get("content", {}).values()
        for example in media.get("examples", {}).values()
    ]
    return notes + _table(("Header", "Meaning"), headers) + "".join(examples)


def _example(example: dict[str, Any]) -> str:
    value = example["value"]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return f"<details><summary>{_inline(example['summary'])}</summary><pre>{html.escape(text)}</pre></details>"


def _fields(whole: dict[str, Any], name: str, schema: dict[str, Any]) -> str:
    rows = [
        (f"<code>{html.escape(field)}</code>", _inline(_type(kind)), _inline(kind.get("description", "")))
        for field, kind in schema.get("properties", {}).items()
    ]
    return f"<h3 id='{html.escape(name)}'>{html.escape(name)}</h3>{_markdown(schema.get('description', ''))}" + _table(
        ("Field", "Type", "Meaning"), rows
    )


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if kinds := schema.get("oneOf") or schema.get("anyOf"):
        return " | ".join(map(_type, kinds))
    kind = str(schema.get("const", schema.get("type", "any")))
    text = f"list of {_type(schema['items'])}" if kind == "array" and "items" in schema else kind
    return f"{text}, default {schema['default']}" if "default" in schema else text


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>{body}</table>" if body else ""


def _markdown(text: str) -> str:
    """Paragraphs and tables, which is all that our descriptions use."""
    parts = []
    for block in text.strip().split("\n\n"):
        lines = block.strip().splitlines()
        if lines and lines[0].startswith("|"):
            head, _, *rows = ([_inline(cell.strip()) for cell in line.strip("|").split("|")] for line in lines)
            parts.append(_table(head, ([_anchored(first), *others] for first, *others in rows)))
        elif lines:
            parts.append(f"<p>{_inline(' '.join(lines))}</p>")
    return "".join(parts)


def _anchored(cell: str) -> str:
    """The word of a row can be linked to, as the type of a problem is."""
    word = cell.removeprefix("<code>").removesuffix("</code>")
    return cell.replace("<code>", f'<code id="{word}">', 1)


def _inline(text: str) -> str:
    # Every second piece stands between backquotes.
    pieces = html.escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))
