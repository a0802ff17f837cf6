"""schemathesis over every operation of the REST API: whatever is sent, the answer is one that OpenAPI describes."""

from __future__ import annotations

import copy
import json
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import Case, GenerationMode

from consilo.api.models import Problem
from consilo.identity.tokens import authorization
from consilo.protocol.canonical import canonical, parse
from tests.integration.consortium import Consortium
from tests.integration.rest import token
from tools.rest_reference import application

EXAMPLES: Final = 40
"""For each operation and each of the two modes."""
DESCRIPTION: Final[dict[str, Any]] = application().openapi()
OPERATIONS: Final = [(path, method) for path, methods in DESCRIPTION["paths"].items() for method in methods]
ENDLESS: Final = ("/v1/events",)


def test_every_operation_of_the_running_service_is_described(consortium: Consortium) -> None:
    found = requests.get(f"{consortium.ledger.url}/openapi.json", timeout=20).json()
    assert found == json.loads(json.dumps(DESCRIPTION))
    assert len(OPERATIONS) >= 16


def _with_tokens_made_here() -> dict[str, Any]:
    # schemathesis would make up tokens; what those are worth is tested elsewhere.
    description: dict[str, Any] = copy.deepcopy(DESCRIPTION)
    for operations in description["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    return description


def exchanged(consortium: Consortium, case: Case[Any], session: requests.Session) -> requests.Response:
    """The case's request, with a good token of a silo."""
    request = session.prepare_request(requests.Request(**_sendable(case, consortium.ledger.url)))
    parts = urlsplit(request.url or "")
    target = str(parts.path) + (f"?{parts.query}" if parts.query else "")
    body = request.body or b""
    data = body if isinstance(body, bytes) else str(body).encode()
    try:
        words = token(consortium, "HospitalB/silo", str(request.method), target, data)
    except ValueError:  # no target for which there could be a token
        pass
    else:
        request.headers["authorization"] = authorization(words)
    return session.send(request, timeout=20, allow_redirects=False, stream=case.path in ENDLESS)


def _sendable(case: Case[Any], url: str) -> dict[str, Any]:
    return {key: value for key, value in case.as_transport_kwargs(base_url=url).items() if key in _FIELDS}


_FIELDS: Final = frozenset({"method", "url", "headers", "files", "data", "json", "params", "cookies"})


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda value: value)
def test_every_answer_is_one_that_is_described(
    consortium: Consortium, path: str, method: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_dict(_with_tokens_made_here())[path][method.upper()]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
        return  # nothing of it can be wrong
    documented = DESCRIPTION["paths"][path][method]["responses"]

    @seed(1)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        with exchanged(consortium, case, session) as response:
            kind = response.headers["content-type"].partition(";")[0]
            assert response.status_code < 500, response.text
            if response.status_code == 200:
                assert kind in documented["200"]["content"]
                if kind == "application/json":
                    assert canonical(parse(response.content)) == response.content
                    case.validate_response(response)
                return
            assert kind == "application/problem+json"
            problem = Problem.decode(response.content)
            assert problem.status == response.status_code
            # A path that fits no operation any more, with other characters in it, is nobody's.
            assert str(problem.status) in documented or problem.code in {"not-found", "method-not-allowed"}

    with requests.Session() as session:
        session.trust_env = False
        check()
    assert not consortium.ledger.events("a request failed by a defect")
