"""What may be asked of a job, field by field, and the command that does it. No text becomes more than one argument."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from base.errors import QueryError
from web.jobs.allowed_places import AllowedRoot
from web.photo_numbers import PhotoNumber

Resolve = Callable[[str, str], tuple[Path, AllowedRoot]]
MOST_PHOTOS = 10_000  # of one job: their numbers stand in one command
Engine = Literal["regrade", "grow", "sd15", "sdxl", "klein"]
Palette = Literal["fern", "emerald", "lagoon", "moss"]
TREE, TEST_TREE = "hotels50k", "hotels50k-test"  # kinds of places; of the other, the folder of a split of the test


def plain(text: str) -> str:
    """Return a text that a command can be given. Raises: ValueError: it holds a NUL or half a character."""
    if "\0" in text:
        raise ValueError("a text cannot hold the character NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half a character") from None
    return text


Text = Annotated[str, Field(max_length=10_000), AfterValidator(plain)]


class Request(BaseModel):
    """What all have in common: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: str

    def words(self, resolve: Resolve, kept: Path) -> list[str]:
        """Return the command's words; `resolve` finds allowed places, `kept` is a name for a file to be written.

        Raises: QueryError: a place is not allowed.
        """
        raise NotImplementedError

    def options(self, *names: str) -> list[str]:
        """Return fields as options of a command, a word each; what is empty or not wanted is left out."""
        given = {f"--{name.replace('_', '-')}": getattr(self, name) for name in names}
        said = {
            option: value for option, value in given.items() if not (value is None or value is False or value == "")
        }
        return [option if value is True else f"{option}={value}" for option, value in said.items()]


class PlaceBelow(BaseModel):
    """A folder or tar: its root's key, and the path below that."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    root: Text
    inside: Text = ""


class AddJob(Request):
    """Look for new and changed photos in places, and embed them; without places in all that were added before."""

    kind: Literal["add"] = "add"
    places: Annotated[list[PlaceBelow], Field(max_length=100)] = []
    hotel_from: Literal["folder", "path", "none"] | None = None
    retry_failed: bool = False

    def words(self, resolve: Resolve, kept: Path) -> list[str]:
        """See `Request.words`."""
        paths, options = [], ["--json", *self.options("retry_failed", "hotel_from")]
        if not self.places:
            if self.hotel_from:
                raise QueryError("hotel_from is said of places: name them")
            return ["add", *options]
        for place in self.places:
            path, root = resolve(place.root, place.inside)
            if root.kind in (TREE, TEST_TREE):
                if len(self.places) > 1 or path != root.path or self.hotel_from:
                    raise QueryError(f"{root.path.name} is a Hotels-50K tree: add it whole, and by itself")
                if root.kind == TREE:
                    return ["add", *options, f"--hotels50k={path}"]
                tree, split = path.parents[2], path.name.partition("_")[0]  # of images/test/low_occlusions
                return ["add", *options, f"--hotels50k={tree}", f"--split={split}"]
            paths.append(str(path))
        return ["add", *options, "--", *paths]


class TagJob(Request):
    """Tag all photos with a vocabulary: its key or name.

    threshold: how likely a tag must be. calibrate: learn from what people said, or forget what was learnt.
    """

    kind: Literal["tag"] = "tag"
    vocabulary: Text | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    calibrate: Literal["labels", "none"] | None = None

    def words(self, resolve: Resolve, kept: Path) -> list[str]:
        """See `Request.words`."""
        return ["tag", "--json", *self.options("vocabulary", "threshold", "calibrate")]


class CandidatesJob(Request):
    """Pick photos that are worth restyling, and say why."""

    kind: Literal["candidates"] = "candidates"
    query: Text = ""
    n: Annotated[int, Field(ge=1, le=200)] = 6
    strategy: Literal["mixed", "detailed", "opposite-palette", "minimal"] = "mixed"
    palette: Palette = "fern"
    pool: Annotated[int, Field(ge=1, le=5_000)] = 400
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0

    def words(self, resolve: Resolve, kept: Path) -> list[str]:
        """See `Request.words`."""
        options = self.options("strategy", "palette", "pool", "seed", "query")
        return ["candidates", "--json", "-n", str(self.n), *options]


class RestyleJob(Request):
    """Restyle photos; the strongest result that is recognised is kept of each."""

    kind: Literal["restyle"] = "restyle"
    photos: Annotated[list[PhotoNumber], Field(min_length=1, max_length=MOST_PHOTOS)]
    engine: Engine = "regrade"
    palette: Palette = "fern"
    strength: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    add: bool = False
    again: bool = False

    def words(self, resolve: Resolve, kept: Path) -> list[str]:
        """See `Request.words`."""
        options = self.options("engine", "palette", "seed", "add", "again", "strength")
        return ["restyle", "--json", *options, "--", *map(str, self.photos)]


class AddResultsJob(Request):
    """Let searches find restyled photos that ask for kind:restyled or kind:any."""

    kind: Literal["add_results"] = "add_results"
    results: Annotated[list[PhotoNumber], Field(min_length=1, max_length=MOST_PHOTOS)]

    def words(self, resolve: Resolve, kept: Path) -> list[str]:
        """See `Request.words`."""
        return ["restyle", "list", "--json", "--add", f"--results={','.join(map(str, self.results))}"]


class VerifyJob(Request):
    """Check that the library is whole; `repair` mends first what can be mended."""

    kind: Literal["verify"] = "verify"
    quick: bool = False
    repair: bool = False

    def words(self, resolve: Resolve, kept: Path) -> list[str]:
        """See `Request.words`."""
        return ["verify", "--json", *self.options("quick", "repair")]


class IndexJob(Request):
    """Bring the search index up to date."""

    kind: Literal["index"] = "index"
    rebuild: bool = False

    def words(self, resolve: Resolve, kept: Path) -> list[str]:
        """See `Request.words`."""
        return ["index", "--json", *self.options("rebuild")]


class ExportJob(Request):
    """Write tags to a file, or photos into a folder, that the job keeps."""

    kind: Literal["export"] = "export"
    format: Literal["csv", "tsv", "xlsx", "jsonl", "parquet", "coco", "imagefolder"] = "csv"
    query: Text = ""
    k: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    tags: Annotated[list[Text], Field(max_length=100)] = []
    columns: Annotated[list[Text], Field(max_length=100)] = []
    vocabulary: Text | None = None
    link: bool = False

    @property
    def ending(self) -> str:
        """The ending of the file's name; of a folder nothing."""
        return {"coco": ".json", "imagefolder": ""}.get(self.format, f".{self.format}")

    def words(self, resolve: Resolve, kept: Path) -> list[str]:
        """See `Request.words`."""
        said = [*self.options("format", "query"), *(["-k", str(self.k)] if self.k else [])]
        said += [f"--tag={tag}" for tag in self.tags]
        said += [f"--columns={','.join(self.columns)}"] if self.columns else []
        return ["export", "tags", "--json", f"--output={kept}{self.ending}", *said, *self.options("vocabulary", "link")]


AnyJob = Annotated[
    AddJob | TagJob | CandidatesJob | RestyleJob | AddResultsJob | VerifyJob | IndexJob | ExportJob,
    Field(discriminator="kind"),
]
ANY_JOB: TypeAdapter[Any] = TypeAdapter(AnyJob)


def as_request(kind: str, arguments: dict[str, Any]) -> Request:
    """Return what a job is asked, checked. Raises: QueryError: a field is unknown or out of bounds; it says which."""
    try:
        request: Request = ANY_JOB.validate_python({"kind": kind, **arguments})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "kind"
        raise QueryError(
            f"the job {kind!r} cannot be done: {where}: {first['msg']}, not {first['input']!r:.80}"
        ) from error
    return request
