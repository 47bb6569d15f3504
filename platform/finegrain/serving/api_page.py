"""/docs: the API's own description as a page that loads nothing from anywhere."""

import json
from html import escape
from typing import Any

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code,pre{font-family:ui-monospace,monospace}pre{overflow:auto}"
    "summary{cursor:pointer;padding:.3rem 0}b{display:inline-block;min-width:4.5rem}"
    "table{border-collapse:collapse}td,th{text-align:left;padding:.1rem .8rem .1rem 0}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8bf}}"
)
Json = dict[str, Any]


def api_page(schema: Json) -> str:
    """The page of an OpenAPI description."""
    title = f"{schema['info']['title']} {schema['info']['version']}"
    routes = "".join(
        _route(method, path, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    )
    types = "".join(
        _fold(f"<code>{escape(name)}</code>", f"<pre>{_json(content)}</pre>")
        for name, content in schema.get("components", {}).get("schemas", {}).items()
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{escape(title)}</h1>"
        f"<p>{escape(schema['info'].get('description', ''))} "
        'The same for programs: <a href="openapi.json">openapi.json</a>.</p>'
        f"<h2>Routes</h2>{routes}<h2>Types</h2>{types}</html>"
    )


def _route(method: str, path: str, operation: Json) -> str:
    name = f"<b>{method.upper()}</b> <code>{escape(path)}</code>"
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code><td>{escape(p['in'])}"
        f"<td>{escape(p.get('description') or p.get('schema', {}).get('description', ''))}"
        for p in operation.get("parameters", ())
    )
    body = operation.get("requestBody", {}).get("content", {})
    parts = [
        f"<p>{escape(operation.get('description', ''))}</p>",
        f"<table><tr><th>name<th>in<th>is{rows}</table>" if rows else "",
        *(f"<p>Body, {escape(kind)}:</p><pre>{_json(one)}</pre>" for kind, one in body.items()),
        f"<p>Answers: {escape(', '.join(operation.get('responses', ())))}</p>",
    ]
    return _fold(name, "".join(parts))


def _fold(name: str, content: str) -> str:
    return f"<details><summary>{name}</summary>{content}</details>"


def _json(value: Any) -> str:
    return escape(json.dumps(value, indent=1, ensure_ascii=False))
