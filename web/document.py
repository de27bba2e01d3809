"""The OpenAPI document: what programs, and those who generate clients, are told of the API."""

import json
from typing import Any

from fastapi import FastAPI

DESCRIPTION = """\
Everything that the pages of `aliens serve` do, by program. Answers are JSON; errors are problems (RFC 9457), of which
`detail` names the value and the remedy. Who is asked for a token sends it as `Authorization: Bearer TOKEN`."""
TAGS = {
    "search": "Photos by description, in windows of a whole order; facets, places, suggestions.",
    "photos": "One photo: its picture, what is known of it, what people say of its tags.",
    "restyled": "Restyled photos, how each was made, and the quiz.",
    "hotels": "Hotels and what their photos show.",
    "tags": "Vocabularies, drafts of tags, labels.",
    "exports": "Files of tags, of all results.",
    "uploads": "Photos to search by, kept for an hour.",
    "library": "What the library holds, in numbers.",
    "baskets": "Photos that were picked.",
    "jobs": "What takes long: adding, tagging, restyling.",
    "health": "Whether the server is well, and its figures.",
}
PROBLEM = {
    "title": "Problem",
    "description": "An error, as RFC 9457 has it.",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "the kind of problem: the address of a page that says what it means and what helps",
            "examples": ["/problems/query-syntax"],
        },
        "title": {"type": "string", "description": "the kind of problem, in words"},
        "status": {"type": "integer", "description": "the HTTP status"},
        "detail": {"type": "string", "description": "what is wrong here, with the value and the remedy"},
        "position": {
            "type": "integer",
            "description": "of a query that cannot be read: the character where that shows, counted from 0",
        },
        "errors": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/ValidationError"},
            "description": "of a request that is not as it should be: each value that is wrong",
        },
    },
}
EXAMPLE = {
    "type": "/problems/query-syntax",
    "title": "The query cannot be read",
    "status": 422,
    "detail": "the bracket is not closed",
    "position": 5,
}


def as_text(app: FastAPI) -> str:
    """Return an app's document as it is kept: the same for the same API, whatever its version."""
    made = app.openapi()
    made["info"]["version"] = "1"
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def describe_api(app: FastAPI) -> None:
    """Have an app's document describe problems, tags and the token."""
    app.description = DESCRIPTION
    app.openapi_tags = [{"name": name, "description": said} for name, said in TAGS.items()]
    plain = app.openapi

    def document() -> dict[str, Any]:
        made = plain()
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = PROBLEM
        schemas.setdefault("ValidationError", VALIDATION)
        schemas["HTTPValidationError"] = {"$ref": "#/components/schemas/Problem"}
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{}, {"token": []}]
        for operations in made["paths"].values():
            for operation in operations.values():
                describe_problems(operation["responses"])
        return made

    app.openapi = document  # type: ignore[method-assign]


VALIDATION = {
    "title": "ValidationError",
    "type": "object",
    "required": ["loc", "msg", "type"],
    "properties": {
        "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"type": "string"},
        "type": {"type": "string"},
    },
}


def describe_problems(answers: dict[str, Any]) -> None:
    """Have every answer that is an error be a problem, those of a schema of their own excepted."""
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for status, said in answers.items():
        if status[0] in "45":
            content = said.setdefault("content", {})
            if status == "422" or not content:
                said["content"] = {"application/problem+json": problem}
    for status, words in (("4XX", "What was asked cannot be done"), ("5XX", "The server cannot do it now")):
        answers[status] = {"description": f"{words}.", "content": {"application/problem+json": problem}}
    answers["4XX"]["content"]["application/problem+json"] = {**problem, "example": EXAMPLE}
