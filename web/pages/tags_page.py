"""Vocabularies and their tags, the page of one tag, and drafts of tags."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field
from starlette.datastructures import URL

from base.errors import QueryError
from search.tags.vocabulary_edits import TagDraft
from web.api.tag_api import looked_at, start_tagging, tag_looked_at
from web.opened import Served
from web.rendering import page

tags_pages = APIRouter()
Name = Annotated[str, Query(max_length=1_000)]
Key = Annotated[str, Query(max_length=300)]
Typed = Annotated[str, Form(max_length=10_000)]
TypedText = Annotated[str, Field(max_length=10_000)]
BINS = 64


def address(path: str, **query: object) -> str:
    """Return the address of a page with what it is asked for, without what is empty."""
    said = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return str(URL(path).include_query_params(**said))


def look_there(path: str, **query: object) -> RedirectResponse:
    """Return the answer to a form: look there now."""
    return RedirectResponse(address(path, **query), 303)


@tags_pages.get("/tags")
async def tags_page(
    request: Request, served: Served, vocabulary: Key = "", job: Annotated[int | None, Query(ge=1)] = None
) -> HTMLResponse:
    """Return the vocabularies, and the tags of one of them."""
    known = await served.compute(served.library.known_vocabularies)
    key = known[0].key
    if vocabulary:  # by a key or a name; one that a newer one of its name has followed is not among the known
        key = (await served.compute(served.library.vocabulary, vocabulary)).key
    elif current := next((each.key for each in known if each.current), None):
        key = current
    shown = next((each for each in known if each.key == key), None)
    return page(request, "tags.html", known=known, shown=shown, key=key, job=job)


@tags_pages.get("/tags/table")
async def tags_table(request: Request, served: Served, vocabulary: Key) -> HTMLResponse:
    """Return the table of a vocabulary's tags."""
    look = await looked_at(served, vocabulary)
    headings = {tag.heading: [each for each in look.tags if each.heading == tag.heading] for tag in look.tags}
    most = max((tag.photos for tag in look.tags), default=0) or 1
    return page(request, "tags_table.html", look=look, headings=headings, most=most)


@tags_pages.get("/tags/tag")
async def tag_page(request: Request, served: Served, tag: Name, vocabulary: Key = "") -> HTMLResponse:
    """Return the page of one tag."""
    look = await looked_at(served, vocabulary or None)
    found = await tag_looked_at(served, look, tag)
    told = ("histogram", "said_yes", "said_no", "yes", "examples", "passed_over")
    island = {name: getattr(found, name) for name in told}
    return page(request, "tag.html", look=look, tag=found, island=island, bins=BINS, draft=None)


@tags_pages.get("/tags/draft")
async def draft_page(request: Request, served: Served, vocabulary: Key = "", tag: Name = "") -> HTMLResponse:
    """Return the page where a tag is made, or edited."""
    base = await served.compute(served.library.vocabulary, vocabulary or None)
    draft = await served.compute(served.library.draft_of, tag, base.key) if tag else TagDraft(name="")
    headings = list(dict.fromkeys(each.heading for each in base.tags if each.heading))
    return page(
        request,
        "tag_draft.html",
        base=base,
        draft=draft,
        edited=draft.name if tag else None,
        called=served.library.own_name(base),
        headings=headings,
    )


class DraftForm(BaseModel):
    """A draft of a tag as it is typed: lines as text. instead_of: the tag that it replaces, if any."""

    vocabulary: TypedText
    name: TypedText = ""
    prompts: TypedText = ""
    unlike: TypedText = ""
    heading: TypedText = ""
    muted: bool = False
    instead_of: TypedText = ""

    @property
    def draft(self) -> TagDraft:
        """The draft. Raises: QueryError: it makes no sense."""
        prompts, unlike = self.prompts.splitlines(), self.unlike.splitlines()
        return TagDraft.typed(self.name, prompts, unlike, heading=self.heading, muted=self.muted)

    @property
    def replaced(self) -> str | None:
        """The tag that it replaces, or None."""
        return self.instead_of or None


class SaveForm(DraftForm):
    """A draft that is saved. called: the vocabulary's name then; tag_now: have all photos tagged with it."""

    called: TypedText = ""
    tag_now: bool = False


@tags_pages.post("/tags/draft/look")
async def draft_look(request: Request, served: Served, form: Annotated[DraftForm, Form()]) -> HTMLResponse:
    """Return what a draft would do in the library."""
    look, problem = None, None
    try:
        if form.name.strip():
            look = await served.compute_heavy(
                served.library.look_at_draft, form.draft, vocabulary=form.vocabulary, instead_of=form.replaced
            )
    except QueryError as error:  # what is typed is not ready yet
        problem = str(error)
    return page(request, "tag_draft_look.html", look=look, problem=problem, bins=BINS)


@tags_pages.post("/tags/draft")
async def save_draft(served: Served, form: Annotated[SaveForm, Form()]) -> RedirectResponse:
    """Save a draft in a vocabulary, and have all photos tagged with it."""
    made, _ = await served.compute(
        served.library.save_draft,
        form.draft,
        vocabulary=form.vocabulary,
        instead_of=form.replaced,
        name=form.called or None,
    )
    job = await start_tagging(served, made.key) if form.tag_now else None
    return look_there("/tags", vocabulary=made.key, job=job)


@tags_pages.post("/tags/remove")
async def remove_tag(served: Served, vocabulary: Typed, tag: Typed, called: Typed = "") -> RedirectResponse:
    """Save a vocabulary without one of its tags, and have all photos tagged with it."""
    made, _ = await served.compute(served.library.save_without, tag, vocabulary=vocabulary, name=called or None)
    return look_there("/tags", vocabulary=made.key, job=await start_tagging(served, made.key))


@tags_pages.post("/tags/start")
async def tag_all(
    served: Served,
    vocabulary: Typed,
    calibrate: Typed = "",
    threshold: Annotated[float | None, Form(gt=0, lt=1)] = None,
) -> RedirectResponse:
    """Have all photos tagged with a vocabulary: anew, by what people's labels teach, or from another threshold on."""
    asked: dict[str, object] = {"calibrate": "labels"} if calibrate == "labels" else {}
    asked |= {"threshold": threshold} if threshold is not None and not asked else {}
    key = (await served.compute(served.library.vocabulary, vocabulary)).key
    job = await start_tagging(served, key, **asked)
    return look_there("/tags", vocabulary=vocabulary, job=job)
