"""The app put together: guards, problems, pages and API on an opened library; and the server that runs it."""

import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from fastapi import APIRouter, Depends, FastAPI
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.staticfiles import StaticFiles

from aliens.library import Library
from base import __version__
from base.busy_process import suit_many_threads
from web.access import add_guards
from web.api.basket_api import picking
from web.api.export_api import exporting
from web.api.health_api import health
from web.api.hotel_api import lodging
from web.api.job_api import working
from web.api.photo_api import looking
from web.api.picture_api import pictures
from web.api.result_api import exhibiting
from web.api.search_api import searching
from web.api.stats_api import numbering
from web.api.tag_api import tagging
from web.api.upload_api import uploading
from web.document import describe_api
from web.opened import Opened, limited_drafts, limited_searches, limited_uploads, warm_up
from web.pages.access_pages import access_pages
from web.pages.basket_page import basket_pages
from web.pages.export_page import export_pages
from web.pages.hotels_page import hotels_pages
from web.pages.jobs_page import jobs_pages
from web.pages.label_page import label_pages
from web.pages.library_page import library_pages
from web.pages.photo_page import photo_pages
from web.pages.quiz_page import quiz_pages
from web.pages.restyled_page import restyled_pages
from web.pages.search_aids import aid_pages
from web.pages.search_page import search_pages
from web.pages.tags_page import tags_pages
from web.problems import add_problems
from web.web_settings import WebSettings

LIMITS = (
    (search_pages, limited_searches),
    (aid_pages, limited_searches),
    (searching, limited_searches),
    (uploading, limited_uploads),
    (tagging, limited_drafts),
    (tags_pages, limited_drafts),
)
STATIC = Path(__file__).parent / "static"
LONGEST_HEAD_BYTES = 2_000_000  # of a request; what is longer is cut off, and 1 MB of query is told what is wrong
PAGES = (
    search_pages,
    aid_pages,
    photo_pages,
    hotels_pages,
    tags_pages,
    label_pages,
    export_pages,
    basket_pages,
    restyled_pages,
    library_pages,
    jobs_pages,
    quiz_pages,
)
RESOURCES = (
    searching,
    looking,
    pictures,
    tagging,
    exporting,
    uploading,
    lodging,
    picking,
    working,
    exhibiting,
    numbering,
)


def make_app(library: Library, settings: WebSettings) -> FastAPI:
    """Return the app that serves a library."""
    opened = Opened(library, settings)
    jobs = opened.jobs

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with jobs.running():
            yield
        app.state.opened.close()

    app = FastAPI(
        title="CV-Aliens",
        version=__version__,
        summary="Search, tag and restyle your photos by describing them.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        generate_unique_id_function=lambda route: route.name,  # what generated clients call their functions
        lifespan=lifespan,
    )
    app.state.opened = opened
    add_problems(app)
    for router in (access_pages, *PAGES):
        app.include_router(router, include_in_schema=False, dependencies=limits_of(router))
    for router in RESOURCES:
        app.include_router(router, prefix="/api/v1", dependencies=limits_of(router))
    app.include_router(health)
    describe_api(app)
    measured = Instrumentator(excluded_handlers=["/static", "/metrics"], registry=app.state.opened.metrics.registry)
    measured.instrument(app)
    app.mount("/static", StaticFiles(directory=STATIC))
    add_guards(app, settings)
    return app


def limits_of(router: APIRouter) -> list[Any]:
    """Return what limits the routes of a router."""
    return [Depends(limit) for limited, limit in LIMITS if limited is router]


def run_server(library: Library, settings: WebSettings, listening: socket.socket) -> None:
    """Serve a library at a socket that is bound, until Ctrl-C. Raises: KeyboardInterrupt: it was stopped so."""
    import uvicorn

    suit_many_threads()
    threading.Thread(target=warm_up, args=(library,), daemon=True).start()
    app = make_app(library, settings)

    class Stopped(uvicorn.Server):
        """Has streams of events end at Ctrl-C, which the server would wait for."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            app.state.opened.jobs.is_stopping = True
            super().handle_exit(sig, frame)

    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        h11_max_incomplete_event_size=LONGEST_HEAD_BYTES,
        timeout_graceful_shutdown=3,
    )
    Stopped(config).run(sockets=[listening])
