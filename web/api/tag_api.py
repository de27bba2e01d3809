"""Vocabularies, drafts, labels by program."""

from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from search.tags.vocabulary_edits import MOST_PROMPTS, TagDraft
from web.api.photo_api import UNKNOWN, known_photo
from web.opened import Opened, Served
from web.photo_numbers import PhotoNumber

if TYPE_CHECKING:
    from search.tags.gains import LabelGain
    from search.tags.overview import TagLook, VocabularyLook

tagging = APIRouter(tags=["tags"])

MOST_SAID = 1_000  # tags of a photo at once
Words = Annotated[str, Field(max_length=1_000)]
Lines = Annotated[list[Words], Field(max_length=MOST_PROMPTS)]
VocabularyName = Annotated[str | None, Field(max_length=300, description="its key or name; by default the latest")]
AskedVocabulary = Annotated[str | None, Query(max_length=300, description="its key or name; by default the latest")]
AskedTag = Annotated[str, Query(max_length=1_000, description="a tag's name")]
Tab = Annotated[str, Query(max_length=100, description="who asks: no photo is given to two at once")]


class VocabularyEntry(BaseModel):
    """A vocabulary. origin: tagged with, saved in the library and not tagged with yet, or shipped."""

    key: str
    name: str
    tags: int
    origin: Literal["tagged", "saved", "shipped"]
    current: bool


class TagFigures(BaseModel):
    """A tag in the whole library; see `histogram` and the others: 64 equal bins of probability from 0 to 1.

    photos: that have it; sure: how many of them surely. yes, no: of how many people said so. muted: the model cannot
    tell it here; silent: people had no photo get it. histogram: photos that would get it at a threshold anywhere below.
    """

    tag: str
    heading: str
    photos: int
    sure: int
    yes: int
    no: int
    muted: bool
    silent: bool
    histogram: list[int]
    others: list[int]
    said_yes: list[int]
    said_no: list[int]
    surest: list[int]


class VocabularyFigures(BaseModel):
    """The tags of a vocabulary in the whole library."""

    key: str
    name: str
    method: str
    threshold: float
    photos: int
    untagged: int
    unscored: int
    fitted: int
    notes: list[str]
    tags: list[TagFigures]


class AskedDraft(BaseModel):
    """A tag that is thought of. unlike: what it is not; instead_of: the tag of the vocabulary that it replaces."""

    model_config = ConfigDict(extra="forbid")
    vocabulary: VocabularyName = None
    name: Words
    prompts: Lines = []
    unlike: Lines = []
    heading: Words = ""
    muted: bool = False
    instead_of: Words | None = None

    def draft(self) -> TagDraft:
        """Return it without empty lines. Raises: QueryError: it makes no sense."""
        return TagDraft.typed(self.name, self.prompts, self.unlike, heading=self.heading, muted=self.muted)


class DraftFigures(BaseModel):
    """What `aliens tag` would decide: how many photos, by which probabilities, and photos on both sides of the line."""

    tag: str
    photos: int
    decided: int
    sure: int
    threshold: float
    signal: float
    muted: bool
    histogram: list[int]
    others: list[int]
    surest: list[int]
    above: list[int]
    below: list[int]


class SavedDraft(AskedDraft):
    """A draft that is saved. called: the vocabulary's name then; tag: have all photos tagged with it, as a job."""

    called: Annotated[str | None, Field(max_length=100)] = None
    tag: bool = True


class SavedVocabulary(BaseModel):
    """A vocabulary that was saved; job: the number of the job that tags with it."""

    key: str
    name: str
    tags: int
    job: int | None = None


class AskedLabel(BaseModel):
    """What is said of a photo and a tag: yes, no, or null to take back what was said. tab: as in `labelling`."""

    model_config = ConfigDict(extra="forbid")
    tag: Words
    present: bool | None
    vocabulary: VocabularyName = None
    tab: Annotated[str, Field(max_length=100)] = ""


class GivenLabel(BaseModel):
    """What was said; tag: the tag's whole name."""

    photo_id: int
    tag: str
    present: bool | None


class PhotoToLabel(BaseModel):
    """A photo to label, and the tag's probability there."""

    photo_id: int
    probability: float


class GainFigures(BaseModel):
    """What labels brought to the labelled photos, each judged by labels of other hotels: shares from 0 to 1.

    low, high: 95 % of how much F1 has changed; null where labels are too few to tell, which takes `fewest` of each kind
    and of hotels. clear: the change is more than chance would make.
    """

    photos: int
    hotels: int
    yes: int
    no: int
    f1_before: float
    f1: float
    precision: float | None
    recall: float | None
    low: float | None
    high: float | None
    clear: bool
    fewest: int

    @classmethod
    def of(cls, gain: "LabelGain | None") -> "GainFigures | None":
        """Return what is known of a gain, or None."""
        if gain is None:
            return None
        from search.tags.gains import FEWEST

        precision, recall = (None if share != share else share for share in (gain.now.precision, gain.now.recall))
        same = {name: getattr(gain, name) for name in ("photos", "hotels", "yes", "no", "low", "high")}
        shares = {"f1_before": gain.before.f1, "f1": gain.now.f1, "precision": precision, "recall": recall}
        return cls(**same | shares | {"clear": gain.is_clear, "fewest": FEWEST})


class LabellingState(BaseModel):
    """What the labels of a tag say so far, and which photos are to be labelled next.

    taught: how many labels the tag is decided by now, 0: by its prompts. photos: how many have it now; photos_taught:
    how many would by the labels, expected: the share of these that is right by the same probabilities, null where
    nobody knows. brought: what labels brought, after every ten.
    """

    vocabulary: str
    tag: str
    yes: int
    no: int
    taught: int
    threshold: float
    photos: int
    photos_taught: int
    expected: float | None
    brought: GainFigures | None
    next: list[PhotoToLabel]


class TagToLabel(BaseModel):
    """A tag of a photo that is asked about, its probability there, and what a person said of it before."""

    tag: str
    probability: float
    said: bool | None


class WholeToLabel(BaseModel):
    """A photo to label as a whole, with the tags that are asked about."""

    photo_id: int
    tags: list[TagToLabel]


class WholeLabellingState(BaseModel):
    """What the labels of a vocabulary's tags say so far, and which photos are to be labelled next.

    photos: that are labelled as a whole; yes, no: labels; tags: how many a photo is asked about; taught: how many are
    decided by labels now. brought: what labels brought, after every ten photos.
    """

    vocabulary: str
    photos: int
    yes: int
    no: int
    tags: int
    taught: int
    brought: GainFigures | None
    next: list[WholeToLabel]


class AskedLabels(BaseModel):
    """What is said of a photo: {tag: yes, no, or null to take back}. again: it is to be asked about again."""

    model_config = ConfigDict(extra="forbid")
    said: Annotated[dict[Words, bool | None], Field(max_length=MOST_SAID)]
    vocabulary: VocabularyName = None
    again: bool = False
    tab: Annotated[str, Field(max_length=100)] = ""


class GivenLabels(BaseModel):
    """What was said of the tags before: said again it undoes this."""

    photo_id: int
    before: dict[str, bool | None]


async def looked_at(served: Opened, vocabulary: str | None) -> "VocabularyLook":
    """Return what there is to see of a vocabulary's tags. Raises: QueryError: the library was not tagged with it.

    One after the other: a large library takes seconds the first time, in which others want to search.
    """
    async with served.tag_looks:
        return await served.compute(served.library.look_at_tags, vocabulary)


async def tag_looked_at(served: Opened, look: "VocabularyLook", name: str) -> "TagLook":
    """Return a tag of a vocabulary. Raises: QueryError: there is no such tag; the message lists what is near."""
    found = look.tag(name)
    if found is None:
        found = look.tags[(await served.compute(served.library.vocabulary, look.key)).position(name)]
    return found


async def start_tagging(served: Opened, vocabulary: str, **options: object) -> int:
    """Queue the tagging of all photos with a vocabulary, by its key, and return the job's number."""
    return await served.jobs.start("tag", {"vocabulary": vocabulary} | options)


async def labelling_state(
    served: Opened, tag: str, vocabulary: str | None, tab: str, count: int, skipped: list[int]
) -> LabellingState:
    """Return what is to be labelled next. Raises: QueryError, TooBusy."""
    asked, state = await served.compute(
        served.library.ask_labels, tag, vocabulary=vocabulary, tab=tab, count=count, skipped=skipped
    )
    said = {name: getattr(state, name) for name in LabellingState.model_fields if name not in ("next", "brought")}
    chosen = [PhotoToLabel(photo_id=photo_id, probability=chance) for photo_id, chance in asked]
    return LabellingState(**said, brought=GainFigures.of(state.brought), next=chosen)


@tagging.get("/vocabularies")
async def list_vocabularies(served: Served) -> list[VocabularyEntry]:
    """Return the vocabularies that the library was tagged with, newest first, saved ones, and those that come along."""
    found = await served.compute(served.library.known_vocabularies)
    return [VocabularyEntry.model_validate(each, from_attributes=True) for each in found]


@tagging.get("/vocabularies/{vocabulary}/tags")
async def list_tags(served: Served, vocabulary: Annotated[str, Path(max_length=300)]) -> VocabularyFigures:
    """Return counts, histograms and examples of every tag of a vocabulary."""
    look = await looked_at(served, vocabulary)
    return VocabularyFigures.model_validate(look, from_attributes=True)


@tagging.post("/drafts")
async def try_draft(served: Served, asked: AskedDraft) -> DraftFigures:
    """Return what a tag would do if it were in a vocabulary; nothing is saved."""
    look = await served.compute_heavy(
        served.library.look_at_draft, asked.draft(), vocabulary=asked.vocabulary, instead_of=asked.instead_of
    )
    said = {name: getattr(look, name) for name in DraftFigures.model_fields if hasattr(look, name)}
    return DraftFigures.model_validate({**said, **look.examples})


@tagging.post("/vocabularies", status_code=201)
async def save_vocabulary(served: Served, asked: SavedDraft) -> SavedVocabulary:
    """Save a draft in a vocabulary of the library, and queue tagging with it."""
    made, _ = await served.compute(
        served.library.save_draft,
        asked.draft(),
        vocabulary=asked.vocabulary,
        instead_of=asked.instead_of,
        name=asked.called,
    )
    job = await start_tagging(served, made.key) if asked.tag else None
    return SavedVocabulary(key=made.key, name=made.name, tags=len(made.tags), job=job)


@tagging.delete("/vocabularies/{vocabulary}/tags")
async def remove_from_vocabulary(
    served: Served,
    vocabulary: Annotated[str, Path(max_length=300)],
    tag: AskedTag,
    called: Annotated[str | None, Query(max_length=100, description="the vocabulary's name then")] = None,
) -> SavedVocabulary:
    """Save a vocabulary without one of its tags, and queue tagging with it; what there was stays as it is."""
    made, _ = await served.compute(served.library.save_without, tag, vocabulary=vocabulary, name=called)
    job = await start_tagging(served, made.key)
    return SavedVocabulary(key=made.key, name=made.name, tags=len(made.tags), job=job)


@tagging.post("/photos/{photo_id}/labels", responses=UNKNOWN)
async def label_photo(served: Served, photo_id: PhotoNumber, asked: AskedLabel) -> GivenLabel:
    """Say that a photo has a tag, or has it not, whatever the model thinks; null takes back what was said."""
    await served.compute(known_photo, served, photo_id)
    if asked.present is None:
        name = await served.compute(
            served.library.take_back_label, photo_id, asked.tag, vocabulary=asked.vocabulary, tab=asked.tab
        )
    else:
        name = await served.compute(
            served.library.label, photo_id, asked.tag, asked.present, vocabulary=asked.vocabulary
        )
    return GivenLabel(photo_id=photo_id, tag=name, present=asked.present)


@tagging.get("/labelling")
async def next_labels(
    served: Served,
    tag: AskedTag,
    vocabulary: AskedVocabulary = None,
    tab: Tab = "",
    count: Annotated[int, Query(ge=1, le=50)] = 4,
    skipped: Annotated[list[PhotoNumber], Query(max_length=50)] = [],  # noqa: B006 - FastAPI reads it
) -> LabellingState:
    """Return the photos whose label would teach most of a tag, and what the labels say so far."""
    return await labelling_state(served, tag, vocabulary, tab, count, skipped)


@tagging.get("/labelling/photos")
async def next_photos(
    served: Served,
    vocabulary: AskedVocabulary = None,
    tab: Tab = "",
    count: Annotated[int, Query(ge=1, le=50)] = 4,
    skipped: Annotated[list[PhotoNumber], Query(max_length=50)] = [],  # noqa: B006 - FastAPI reads it
) -> WholeLabellingState:
    """Return the photos that teach most when all their tags are labelled, and what the labels say so far."""
    asked, state = await served.compute(
        served.library.ask_photos, vocabulary=vocabulary, tab=tab, count=count, skipped=skipped
    )
    said = {name: getattr(state, name) for name in WholeLabellingState.model_fields if name not in ("next", "brought")}
    chosen = [
        WholeToLabel(photo_id=whole.photo_id, tags=[TagToLabel(**tag._asdict()) for tag in whole.tags])
        for whole in asked
    ]
    return WholeLabellingState(**said, brought=GainFigures.of(state.brought), next=chosen)


@tagging.put("/photos/{photo_id}/labels", responses=UNKNOWN)
async def label_whole(served: Served, photo_id: PhotoNumber, asked: AskedLabels) -> GivenLabels:
    """Say of a photo which tags it has and which not, all or nothing; return what was said of them before."""
    await served.compute(known_photo, served, photo_id)
    before: dict[str, bool | None] = {}
    if asked.again:
        await served.compute(
            served.library.take_back_photo, photo_id, asked.said, vocabulary=asked.vocabulary, tab=asked.tab
        )
    elif asked.said:
        before = await served.compute(served.library.label_photo, photo_id, asked.said, vocabulary=asked.vocabulary)
    return GivenLabels(photo_id=photo_id, before=before)
