"""The OpenAPI document: it is the one in docs/, good to generate clients from, and what the server does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from fastapi import FastAPI
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from aliens.library import Library
from tests.web.conftest import Running
from web.app import make_app
from web.document import as_text
from web.web_settings import WebSettings

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"
EXAMPLES = 2  # of each operation
PATIENCE_S = 120.0  # with a busy machine, on which a process that encodes has to start first
# Streams that never end, and what would start long work or change the library that all tests share.
LEFT_OUT = r"/jobs|/events|/exports|/restyl|/results"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def app(tagged_library: Library) -> FastAPI:
    return make_app(tagged_library, WebSettings())


def test_it_is_the_one_in_docs(app: FastAPI) -> None:
    assert as_text(app) == FILE.read_text(encoding="utf-8"), "the API has changed: make openapi"


def operations(app: FastAPI) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in app.openapi()["paths"].items():
        yield from ((f"{method} {path}", operation) for method, operation in methods.items())


def test_clients_can_be_generated_from_it(app: FastAPI) -> None:
    made = app.openapi()
    names = [operation["operationId"] for _, operation in operations(app)]
    assert len(names) == len(set(names))
    known = {tag["name"] for tag in made["tags"]}
    for where, operation in operations(app):
        assert operation["operationId"].isidentifier(), where
        assert operation["summary"] and operation["description"], where
        assert set(operation["tags"]) <= known, where
        assert "#/components/schemas/Problem" in json.dumps(operation["responses"]["4XX"]), where
    assert made["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    refs = set(json.dumps(made).split('"#/components/schemas/')[1:])
    assert {ref.partition('"')[0] for ref in refs} <= set(made["components"]["schemas"])


def test_problems_are_as_described(client: TestClient) -> None:
    for address in ("/api/v1/nowhere", "/api/v1/search?limit=0"):
        problem = client.get(address).json()
        assert set(problem) <= set(
            client.get("/api/v1/openapi.json").json()["components"]["schemas"]["Problem"]["properties"]
        )
        assert client.get(problem["type"]).status_code == 200


def test_the_server_does_what_it_says(server: Running) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/api/v1/openapi.json")
    tried, asked = 0, requests.Session()
    for found in schema.exclude(path_regex=LEFT_OUT).get_all_operations():
        operation = found.ok()

        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        )
        @hypothesis.given(case=operation.as_strategy())
        def holds(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS, session=asked, timeout=PATIENCE_S)

        holds()
        tried += 1
    assert tried >= 30
