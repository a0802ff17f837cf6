"""docs/reference/rest.md: made from the ledger service's OpenAPI. Reads source files; starts nothing."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

import consilo.embedded.errors as embedded_errors
import consilo.hosting
import consilo.identity.tokens as tokens
import consilo.store.signing as signing
import services.ledger
import services.store
from consilo.api import models
from consilo.identity.authority import Authority
from consilo.protocol.model import Record
from consilo.protocol.refusals import REFUSALS
from consilo.store.errors import StoreError
from consilo.store.local import CODE_HEADER, DIGEST_HEADER, LocalObjectStore
from consilo.store.signing import SigningSecrets
from services.ledger.app import create_app
from services.ledger.port import Ledger
from services.ledger.problems import _STATUS as REFUSAL_STATUS
from services.ledger.requests import sender_of
from services.ledger.settings import EmbeddedSettings, LedgerSettings, LocalStoreAccess
from services.store.wire import Problem as StoreProblem
from tools.markdown import bullets, code, codes, doc, heading, link, page, paragraph, prose, table
from tools.model_fields import fields_of
from tools.problem_codes import codes_raised_in, problems_in
from tools.protocol_records import type_link

_PROTOCOL: Final = "protocol.md"
_OTHER_CONFLICTS: Final = 409


def application() -> FastAPI:
    """The ledger service's application, with an identity made for the occasion; it is never started."""

    async def never() -> Ledger:
        raise NotImplementedError

    nowhere = Path("nowhere")
    identity = Authority.create("Docs", now=0).issue("gateway", "gateway", now=0)
    settings = LedgerSettings(
        identity=nowhere,
        embedded=EmbeddedSettings(file=nowhere, genesis_file=None),
        store=LocalStoreAccess(url="http://127.0.0.1:1", secret_file=nowhere),
    )
    store = LocalObjectStore("http://127.0.0.1:1", SigningSecrets([b"0" * 32]))
    return create_app(settings, identity=identity, store=store, open_ledger=never)


def rest_page() -> str:
    """The whole page."""
    app = application()
    return page(
        "REST reference",
        paragraph(
            "The REST API of the ledger service, which is an organisation's gateway. A running service describes "
            "itself at `/openapi.json`. Bodies and answers are JSON; answers are canonical. `consilo.api` is its "
            "client in Python."
        ),
        heading(2, "Authentication"),
        prose(inspect.getdoc(tokens) or ""),
        paragraph(
            "The token is sent as `Authorization: Consilo <token>` (or `Bearer <token>`). The audience is the MSP id "
            "of the organisation whose gateway is asked. It is verified only against the roots of the organisation "
            "that `iss` names. A transaction needs none, since it carries its member's signature."
        ),
        heading(2, "Operations"),
        _overview(app),
        *_operations(app),
        heading(2, "Objects"),
        *_objects(),
        _problems(),
        _store(),
    )


def _routes(app: FastAPI) -> list[APIRoute]:
    found: list[APIRoute] = []

    def collect(routes: list[Any]) -> None:
        for route in routes:
            if isinstance(route, APIRoute):
                found.append(route)
            elif hasattr(route, "original_router"):  # how recent versions of FastAPI include a router
                collect(route.original_router.routes)

    collect(list(app.routes))
    return found


def _method(route: APIRoute) -> str:
    return min(route.methods or {"GET"})


def _overview(app: FastAPI) -> str:
    rows = []
    for route in _routes(app):
        method = _method(route)
        title = f"{method} {route.path}"
        rows.append((link(title, title), route.summary or "", "yes" if _needs_token(route.dependant) else "no"))
    return table(("operation", "what it is", "token"), rows)


def _operations(app: FastAPI) -> list[str]:
    description = app.openapi()
    parts: list[str] = []
    for route in _routes(app):
        method = _method(route)
        operation = description["paths"][route.path][method.lower()]
        parts += [heading(3, f"{method} {route.path}"), f"{operation['summary']}."]
        parts += [prose(operation.get("description", ""))] if operation.get("description") else []
        parameters = [
            (code(each["name"]), each["in"], "yes" if each.get("required") else "no", each.get("description", ""))
            for each in operation.get("parameters", [])
        ]
        parts.append(table(("parameter", "in", "required", "meaning"), parameters))
        facts = []
        if "requestBody" in operation:
            facts.append(f"Body: {_object(operation['requestBody']['content'])}")
        for status, response in sorted(operation["responses"].items()):
            if status == "200":
                facts.append(f"200: {_object(response.get('content', {}))}")
        problems = [status for status in sorted(operation["responses"]) if status not in {"200", "default"}]
        if problems:
            facts.append(f"problems: {', '.join(problems)}")
        parts.append(bullets(facts))
    return [part for part in parts if part]


def _object(content: dict[str, Any]) -> str:
    """What a body or an answer is, from its OpenAPI content."""
    for media, description in sorted(content.items()):
        schema = description.get("schema", {})
        name = schema.get("title") or schema.get("$ref", "").rpartition("/")[2]
        if media == "application/json" and name:
            return _named(name)
        if media != "application/json":
            return code(media)
    return code("text/plain")


def _named(name: str) -> str:
    own = getattr(models, name, None)
    if isinstance(own, type) and own.__module__ == models.__name__:
        return link(name, name)
    return _protocol_link(name)


def _protocol_link(name: str) -> str:
    if name in {"Transaction", "Payload"}:
        return link(name, "Transactions and signatures", file=_PROTOCOL)
    text = type_link(name)
    return text.replace("(#", f"({_PROTOCOL}#") if text.startswith("[") else link(name, "Queries", file=_PROTOCOL)


def _type(name: str) -> str:
    return link(name, "Events", file=_PROTOCOL) if name == "Event" else _named(name)


def _objects() -> list[str]:
    kinds = [kind for kind in vars(models).values() if isinstance(kind, type) and kind.__module__ == models.__name__]
    parts: list[str] = []
    for kind in kinds:
        assert issubclass(kind, Record)  # noqa: S101 - the module holds nothing else
        rows = [(code(field.name), field.type) for field in fields_of(kind, _type)]
        parts += [heading(3, kind.__name__), doc(kind), table(("field", "type"), rows)]
    return parts


def _problems() -> str:
    service = problems_in(Path(services.ledger.__path__[0]))
    for name, statuses in problems_in(Path(consilo.hosting.__path__[0])).items():
        service.setdefault(name, set()).update(statuses)
    rows = [(code(name), ", ".join(map(str, sorted(statuses)))) for name, statuses in sorted(service.items())]
    refused = codes_raised_in(Path(str(tokens.__file__)), "TokenRefused")
    away = set(codes_raised_in(Path(str(embedded_errors.__file__)), "__init__", "LedgerUnavailable"))
    for path in Path(services.ledger.__path__[0]).rglob("*.py"):
        away.update(codes_raised_in(path, "LedgerUnavailable"))
    by_status: dict[int, list[str]] = {}
    for name in REFUSALS:
        by_status.setdefault(REFUSAL_STATUS.get(name, _OTHER_CONFLICTS), []).append(name)
    rows += [(code(name), "401") for name in [*refused, "token-malformed"] if name not in service]
    rows += [(code(name), "503") for name in away]
    special = [f"{status}: {codes(names)}" for status, names in sorted(by_status.items()) if status != _OTHER_CONFLICTS]
    return "\n\n".join(
        [
            heading(2, "Problems"),
            paragraph(
                "Every error is an RFC 9457 problem (`application/problem+json`, [Problem](#problem)) with a stable "
                "`code`; `retryable` says whether the same request may succeed later."
            ),
            paragraph(
                f"Refusals of the state machine ({link('their list', 'Refusals', file=_PROTOCOL)}) are "
                f"{_OTHER_CONFLICTS}, but for these:"
            ),
            bullets(special),
            "The service's own:",
            table(("code", "status"), sorted(set(rows))),
        ]
    )


def _store() -> str:
    kinds = sorted({*StoreError.__subclasses__()}, key=lambda kind: kind.code)
    found: dict[str, set[int]] = problems_in(Path(services.store.__path__[0]))
    meanings: dict[str, str] = {}
    for kind in kinds:
        if kind.code == "invalid-secret":  # ends the start, and is no answer
            continue
        found.setdefault(kind.code, set()).add(int(StoreProblem.of(kind("")).status))
        meanings[kind.code] = doc(kind)
    rows = [
        (code(name), ", ".join(map(str, sorted(statuses))), meanings.get(name, ""))
        for name, statuses in sorted(found.items())
    ]
    return "\n\n".join(
        [
            heading(2, "The local object store"),
            prose(inspect.getdoc(signing) or ""),
            paragraph(
                "`PUT` takes exactly the number of bytes that the URL was signed for, once; `GET`, `HEAD` and `DELETE` "
                "do what they say. Answers carry the digest that the store computed on receipt in "
                f"{code(DIGEST_HEADER)}, errors their code in {code(CODE_HEADER)} too. `/livez` and `/readyz` need "
                "no signature."
            ),
            table(("code", "status", "meaning"), rows),
        ]
    )


def _needs_token(dependant: Dependant) -> bool:
    return dependant.call is sender_of or any(_needs_token(inner) for inner in dependant.dependencies)
