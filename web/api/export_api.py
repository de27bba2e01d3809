"""Exports, streamed."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from base.errors import QueryError
from web.export_streams import KINDS, Write, export_manifest, sent_export
from web.opened import Opened, Served

exporting = APIRouter(tags=["exports"])
FileFormat = Literal["csv", "tsv", "jsonl", "xlsx", "parquet", "coco"]
ENDING = {"coco": "json"}  # else the format's own name


class AskedExport(BaseModel):
    """Which photos are exported, and what of them: the options of `aliens export tags`, whose bytes come.

    q: only the best photos for this text; of filters alone: all that they leave. k: how many of the best; without it
    all. tag: only photos with all these tags. column: by default the usual ones. more, less: refused, see below.
    """

    model_config = ConfigDict(extra="forbid")
    q: Annotated[str, Field(max_length=10_000)] = ""
    k: Annotated[int | None, Field(ge=1, le=10_000_000)] = None
    tag: Annotated[list[Annotated[str, Field(max_length=1_000)]], Field(max_length=100)] = []
    column: Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)] = []
    vocabulary: Annotated[str | None, Field(max_length=300)] = None
    more: Annotated[list[int], Field(max_length=1_000)] = []
    less: Annotated[list[int], Field(max_length=1_000)] = []

    async def options(self, served: Opened) -> dict[str, Any]:
        """Return the arguments of `Library.export_to`.

        Raises: QueryError: the query names a file or a picture, or more and less like photos, which are not exported.
        """
        if self.more or self.less:
            raise QueryError(
                "an export cannot look for more or less like photos: write what you look for in words, or put the "
                "photos into the basket"
            )
        query = self.q if self.q.strip() else None
        k = self.k
        if query is not None:
            if await served.compute(served.library.has_words, query):
                k = k or max(await served.compute(served.library.count_found), 1)
            await served.compute(served.library.refuse_files, query)
        tags = [tag for tag in self.tag if tag.strip()]
        return {"query": query, "k": k, "tags": tags, "columns": self.column, "vocabulary": self.vocabulary or None}


class AskedFile(AskedExport):
    """An export as a file. format: csv, tsv and jsonl are sent while they are written, the others after that."""

    format: FileFormat = "csv"

    @property
    def name(self) -> str:
        """What the file is called."""
        return f"tags.{ENDING.get(self.format, self.format)}"

    async def write(self, served: Opened) -> Write:
        """Return what writes the export to a file. Raises: QueryError: as `options`."""
        options = await self.options(served)
        return partial(served.library.export_to, name=self.name, format=self.format, **options)


class AskedFolder(AskedExport):
    """An export of photos into a folder, as a job. link: link to the photos instead of copying."""

    link: bool = False


class StartedExport(BaseModel):
    """The job that makes an export."""

    job: int


Asked = Annotated[AskedFile, Query()]


@exporting.get(
    "/exports",
    response_class=StreamingResponse,
    responses={200: {"description": "the file", "content": {kind.split(";")[0]: {} for kind in KINDS.values()}}},
)
async def export_file(request: Request, served: Served, asked: Asked) -> StreamingResponse:
    """Return all photos that are asked for with their tags, as a file: the bytes that `aliens export tags` writes."""
    return await sent_export(request, served.exports, await asked.write(served), asked.format, asked.name)


@exporting.get("/exports/manifest")
async def export_file_manifest(served: Served, asked: Asked) -> dict[str, Any]:
    """Return the manifest that `aliens export tags` writes beside the file: model, vocabulary, counts, checksum."""
    from dataclasses import asdict

    return asdict(await export_manifest(served.exports, await asked.write(served)))


@exporting.post("/exports/folders", status_code=202)
async def export_folder(served: Served, asked: AskedFolder) -> StartedExport:
    """Queue a job that copies all photos that are asked for into a folder of the library, with their tags."""
    return StartedExport(job=await start_folder(served, asked))


async def start_folder(served: Opened, asked: AskedFolder) -> int:
    """Queue an export into a folder, and return the job's number. Raises: QueryError: as `AskedExport.options`."""
    said = {name: value for name, value in (await asked.options(served)).items() if value}
    return await served.jobs.start("export", {"format": "imagefolder", "link": asked.link, **said})
