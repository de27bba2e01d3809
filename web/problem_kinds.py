"""The kinds of problems: each with its status, its title, what it means and what helps. Their addresses are stable."""

from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """A kind of problem. slug: the end of its type's URI, /problems/SLUG; remedy: what helps, in a sentence or two."""

    slug: str
    status: int
    title: str
    remedy: str

    @property
    def said(self) -> str:
        """The protocol's own phrase for its status."""
        return HTTPStatus(self.status).phrase


SYNTAX = ProblemKind(
    "query-syntax",
    422,
    "The query cannot be read",
    "`position` is the place of the character, counted from 0, where that shows. The query language is described in "
    "docs/query-language.md.",
)
QUERY = ProblemKind(
    "query",
    422,
    "The question has no answer",
    "Something asked for is not there or makes no sense: `detail` names it.",
)
INVALID = ProblemKind(
    "request", 422, "The request is not as it should be", "`errors` lists each value that is wrong, and why."
)
BUSY_LIBRARY = ProblemKind(
    "library-busy",
    409,
    "The library is being changed",
    "Another process or a job is changing the library. Searching goes on; repeat the change when that has ended.",
)
LIBRARY = ProblemKind(
    "library", 409, "The library cannot do that now", "`detail` says what is wrong with the library and what mends it."
)
DISK_FULL = ProblemKind(
    "disk-full",
    507,
    "The disk is full",
    "Free some space on the server's disk and repeat: what was done is kept.",
)
OUTPUT = ProblemKind("output", 500, "A file cannot be written", "`detail` names the file and why.")
SOURCE = ProblemKind("source", 422, "A source of photos cannot be read", "`detail` names the folder, tar or CSV.")
PHOTO = ProblemKind("photo", 422, "A photo cannot be decoded", "`detail` says what is wrong with the file.")
ENCODER = ProblemKind("encoder", 503, "The model cannot be used", "`detail` says what is missing on the server.")
ENGINE = ProblemKind("engine", 503, "The engine cannot be used", "`detail` says what is missing on the server.")
CLUSTER = ProblemKind("cluster", 503, "The cluster cannot be used", "`detail` names the node or the address.")
MEMORY = ProblemKind("device-memory", 503, "The device has too little memory", "`detail` says what needs less of it.")
REFUSED = ProblemKind("refused", 400, "The request was refused", "`detail` names the value and the remedy.")
TOO_BUSY = ProblemKind(
    "busy", 503, "Too much is asked at once", "Ask again after as many seconds as the header Retry-After says."
)
UNAUTHORISED = ProblemKind(
    "token", 401, "The token is missing or wrong", "Send `Authorization: Bearer TOKEN`, or sign in at /sign-in."
)
FORBIDDEN = ProblemKind(
    "cross-site",
    403,
    "The change came from another site",
    "Pages of other sites may change nothing here: the header Origin has to name the address that the server is called "
    "by. Behind a proxy, have it pass on the header Host as it is.",
)
NOT_FOUND = ProblemKind("not-found", 404, "There is no such thing", "Nothing is found at this address.")
METHOD = ProblemKind("method", 405, "That cannot be done at this address", "The header Allow lists what can be.")
CONFLICT = ProblemKind("conflict", 409, "That does not fit what is there now", "`detail` says what has changed.")
GONE = ProblemKind("gone", 410, "It is not there any more", "What was handed in is kept for an hour: hand it in again.")
TOO_LARGE = ProblemKind("too-large", 413, "That is too large", "A photo may have at most 20 MB and 50 megapixels.")
TOO_LONG = ProblemKind("too-long", 414, "The address is too long", "A query may have at most 10,000 characters.")
MEDIA = ProblemKind(
    "media-type", 415, "That is no kind of file that is taken", "Photos are JPEG, PNG, WebP, HEIC or AVIF."
)
HOST = ProblemKind(
    "host",
    400,
    "The server is not called by that name",
    "Call it by the address that `aliens serve` printed, or give other names that it has by --host-name.",
)
TOO_MANY = ProblemKind(
    "rate", 429, "That was asked too often", "Ask again after as many seconds as the header Retry-After says."
)
INTERNAL = ProblemKind("internal", 500, "Something went wrong here", "The server's terminal says what.")

BY_ERROR = {
    "QuerySyntaxError": SYNTAX,
    "QueryError": QUERY,
    "TooBusy": TOO_BUSY,
    "LibraryBusyError": BUSY_LIBRARY,
    "DiskFullError": DISK_FULL,
    "LibraryError": LIBRARY,
    "OutputError": OUTPUT,
    "SourceError": SOURCE,
    "PhotoError": PHOTO,
    "EncoderError": ENCODER,
    "DeviceMemoryError": MEMORY,
    "EngineError": ENGINE,
    "ClusterError": CLUSTER,
    "AliensError": REFUSED,
}
# What is known of an error by its status alone.
BY_STATUS = {
    kind.status: kind
    for kind in [
        *(REFUSED, UNAUTHORISED, FORBIDDEN, NOT_FOUND, METHOD, CONFLICT, GONE, TOO_LARGE, TOO_LONG, MEDIA, INVALID),
        *(TOO_MANY, INTERNAL, TOO_BUSY, DISK_FULL),
    ]
}
BY_SLUG = {kind.slug: kind for kind in [*BY_ERROR.values(), *BY_STATUS.values(), HOST]}
