"""What is exported of a search or of the whole library, and as what."""

from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from pydantic import ValidationError

from base.errors import QueryError
from web.api.export_api import AskedFile, AskedFolder, start_folder
from web.export_streams import STREAMED, export_manifest, sent_export
from web.opened import Opened, Served
from web.pages.tags_page import look_there
from web.rendering import page

export_pages = APIRouter()
FORMATS = ("csv", "tsv", "xlsx", "jsonl", "parquet", "coco")
Kind = TypeVar("Kind", AskedFile, AskedFolder)
Query10k = Annotated[str, Query(max_length=10_000)]


@export_pages.get("/export")
async def export_page(
    request: Request,
    served: Served,
    q: Query10k = "",
    more: Annotated[str, Query(max_length=10_000)] = "",
    less: Annotated[str, Query(max_length=10_000)] = "",
    vocabulary: Annotated[str, Query(max_length=300)] = "",
    tag: Annotated[list[str], Query(max_length=100)] = [],  # noqa: B006 - FastAPI reads it
    job: Annotated[int | None, Query(ge=1)] = None,
) -> HTMLResponse:
    """Return the form that asks what to export."""
    problem, words, order = None, False, None
    try:
        if q.strip():
            words = await served.compute(served.library.has_words, q)
            await served.compute(served.library.refuse_files, q)
            order = await served.ordered(q) if words else None
    except QueryError as error:
        problem = str(error)
    columns, others = served.library.export_columns()
    known = await served.compute(served.library.known_vocabularies)
    tagged = [each for each in known if each.origin == "tagged"]
    late = [(each, await served.compute(served.library.photos_to_tag, each.key)) for each in tagged]
    return page(
        request,
        "export.html",
        q=q,
        asks_more=bool(more or less),
        words=words,
        order=order,
        problem=problem,
        columns=columns,
        others=others,
        formats=FORMATS,
        streamed=STREAMED,
        known=tagged,
        late=[(each, photos) for each, photos in late if photos],
        vocabulary=vocabulary,
        tags=tag,
        photos=await served.compute(served.library.count_found),
        job=job,
    )


async def asked_of(served: Opened, kind: type[Kind], values: dict[str, Any]) -> Kind:
    """Return what a form asks to be exported; how many of the best counts where words say which are the best.

    Raises: QueryError: a field makes no sense.
    """
    plain = {name: value for name, value in values.items() if value not in ("", [])}
    number = plain.pop("number", None)
    if plain.get("k") == "number":
        plain["k"] = number
    query = str(plain.get("q", ""))
    if plain.get("k") in ("all", None) or not await served.compute(served.library.has_words, query):
        plain.pop("k", None)
    try:
        return kind.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise QueryError(f"{first['loc'][0] if first['loc'] else 'the form'}: {first['msg']}") from error


def fields_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of a form; those that may be repeated as lists."""
    values: dict[str, Any] = {"tag": [], "column": []}
    for name, value in pairs:
        if name in ("tag", "column"):
            values[name].append(value)
        else:
            values[name] = value
    return values


@export_pages.get("/export/file")
async def download_export(request: Request, served: Served) -> StreamingResponse:
    """Return what the form asks for, as a file."""
    asked = await asked_of(served, AskedFile, fields_of(request.query_params.multi_items()))
    return await sent_export(request, served.exports, await asked.write(served), asked.format, asked.name)


@export_pages.get("/export/manifest")
async def download_manifest(request: Request, served: Served) -> JSONResponse:
    """Return the manifest of what the form asks for, as a file."""
    from dataclasses import asdict

    asked = await asked_of(served, AskedFile, fields_of(request.query_params.multi_items()))
    manifest = asdict(await export_manifest(served.exports, await asked.write(served)))
    name = f"{asked.name}.manifest.json"
    return JSONResponse(manifest, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@export_pages.post("/export/folder")
async def make_folder(
    request: Request,
    served: Served,
    q: Annotated[str, Form(max_length=10_000)] = "",
) -> RedirectResponse:
    """Queue a job that copies the photos of a search into a folder of the library."""
    form = await request.form()
    values = fields_of([(name, value) for name, value in form.multi_items() if isinstance(value, str)])
    values.pop("format", None)
    asked = await asked_of(served, AskedFolder, values)
    return look_there("/export", q=q, job=await start_folder(served, asked))
