"""The tables. SQLite by default, any database that SQLAlchemy knows by its URL; holds no queries."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Text,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite numbers rows by itself only in a column of its type INTEGER; other databases need 64 bits said.
RowId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """The base of every table."""


class PhotoState(StrEnum):
    """Every photo is exactly one of these."""

    PENDING = "pending"
    EMBEDDED = "embedded"
    FAILED = "failed"
    RESTYLED = "restyled"  # no photo, but a restyled one: found only by those who ask for its kind


class Chain(Base):
    """A hotel chain; chain -1 of Hotels-50K, "unknown", is no row here but no chain."""

    __tablename__ = "chain"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)


class Hotel(Base):
    """A hotel; its name is absent where a photo names a hotel that the list of hotels does not have."""

    __tablename__ = "hotel"

    id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)
    name: Mapped[str | None] = mapped_column(Text)
    chain_id: Mapped[int | None] = mapped_column(ForeignKey("chain.id"), index=True)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]


HAS_PLACE = text("latitude IS NOT NULL")


class Photo(Base):
    """A photo file, or a member of a tar file.

    hotel_from: `table` or `folder`, which may say that it has no hotel; None: Hotels-50K, or nobody, says so.
    date_from, place_from: `table` or `camera`; None: nobody says so.
    """

    __tablename__ = "photo"
    __table_args__ = (
        Index("ix_photo_place", "path", "member", unique=True),
        Index("ix_photo_latitude", "latitude", sqlite_where=HAS_PLACE, postgresql_where=HAS_PLACE),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    path: Mapped[str] = mapped_column(Text)  # absolute, or an address
    member: Mapped[str] = mapped_column(Text, default="")  # name inside the tar at `path`, else ""
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    mtime_ns: Mapped[int | None] = mapped_column(BigInteger)  # of the file, nanoseconds since 1970
    etag: Mapped[str | None] = mapped_column(String(200))  # of an address whose server tells no time of change

    image_id: Mapped[int | None] = mapped_column(BigInteger, index=True)  # Hotels-50K's number
    hotel_id: Mapped[int | None] = mapped_column(ForeignKey("hotel.id"), index=True)
    hotel_from: Mapped[str | None] = mapped_column(String(8))
    image_source: Mapped[str | None] = mapped_column(String(64))  # traffickcam or travel_website
    uploaded_at: Mapped[datetime | None]  # Hotels-50K's upload_timestamp, which has no time zone
    dated_at: Mapped[datetime | None]  # when it was taken, by the clock there; goes before uploaded_at
    date_from: Mapped[str | None] = mapped_column(String(8))
    latitude: Mapped[float | None]  # its own, in degrees; goes before its hotel's
    longitude: Mapped[float | None]
    place_from: Mapped[str | None] = mapped_column(String(8))
    exif_read: Mapped[bool | None]  # absent where an earlier version embedded it, which did not ask its camera

    width_px: Mapped[int | None]  # upright, as its EXIF orientation says
    height_px: Mapped[int | None]
    format: Mapped[str | None] = mapped_column(String(16))
    grey: Mapped[bool | None]
    brightness: Mapped[float | None]  # mean L*, 0 to 100; absent where an earlier version embedded it
    content_sha256: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)
    details: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # of its list, by column

    state: Mapped[PhotoState] = mapped_column(
        Enum(PhotoState, values_callable=lambda states: [s.value for s in states], native_enum=False, length=16),
        default=PhotoState.PENDING,
        index=True,
    )
    failure_kind: Mapped[str | None] = mapped_column(String(32))
    failure_reason: Mapped[str | None] = mapped_column(Text)


class Model(Base):
    """A model that vectors were made with."""

    __tablename__ = "model"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), unique=True)  # readable name + 8 hex digits of its hash
    name: Mapped[str] = mapped_column(Text)  # what `Encoder.load` takes
    dim: Mapped[int]


class VectorSegment(Base):
    """A segment of a model's vectors: a file that is never changed. See base.files.SegmentFile."""

    __tablename__ = "vector_segment"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("model.id"), index=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)  # random, and that of its file
    rows: Mapped[int]
    alive: Mapped[int]  # rows whose photos can be found: all but its dead vectors
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    restyled: Mapped[bool] = mapped_column(default=False)  # whether of results, not of photos


class DeadVector(Base):
    """A row of a segment that is nobody's vector any more, or of a photo that cannot be found."""

    __tablename__ = "dead_vector"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's way

    segment_id: Mapped[int] = mapped_column(ForeignKey("vector_segment.id", ondelete="CASCADE"), primary_key=True)
    photo_id: Mapped[int] = mapped_column(RowId, primary_key=True, autoincrement=False)  # a photo that may be gone


class Embedding(Base):
    """In which segment a photo's vector lies; the segment knows in which row."""

    __tablename__ = "embedding"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's way

    photo_id: Mapped[int] = mapped_column(ForeignKey("photo.id", ondelete="CASCADE"), primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("model.id"), primary_key=True)
    segment_id: Mapped[int] = mapped_column(ForeignKey("vector_segment.id"), index=True)


class Scan(Base):
    """One look at a folder or at a Hotels-50K tree: what it found."""

    __tablename__ = "scan"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    root: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[datetime]  # UTC
    seconds: Mapped[float]
    counts: Mapped[dict[str, Any]] = mapped_column(JSON)  # found, new, changed, missing, ...
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # rows of a CSV that could not be used


class PhotoSource(Base):
    """A place that photos were added from, and how: `aliens add` without a path looks there again."""

    __tablename__ = "photo_source"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    place: Mapped[str] = mapped_column(Text, unique=True)  # an absolute path, a pattern of such, or a URL
    kind: Mapped[str] = mapped_column(String(16))
    options: Mapped[dict[str, Any]] = mapped_column(JSON)  # what `aliens add` was told besides
    mounts: Mapped[dict[str, bool]] = mapped_column(JSON)  # {mount point met here: whether several disks were there}
    added_at: Mapped[datetime]  # UTC
    scanned_at: Mapped[datetime | None]  # UTC, when it was looked through last


class HotelChoice(Base):
    """How the photos at or below a place get their hotels; of several such places the deepest counts."""

    __tablename__ = "hotel_choice"

    root: Mapped[str] = mapped_column(Text, primary_key=True)  # absolute
    hotel_from: Mapped[str] = mapped_column(String(8))  # folder, path or none
    name: Mapped[str | None] = mapped_column(Text)  # of the hotel that a path is


class Setting(Base):
    """A setting of this library."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class VocabularyText(Base):
    """A vocabulary that photos were tagged with, kept whole: the file it came from may change or go."""

    __tablename__ = "vocabulary"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), unique=True)  # readable name + 8 hex digits of its hash
    definition: Mapped[dict[str, Any]] = mapped_column(JSON)  # what its TOML file says


class TaggingRun(Base):
    """The newest tagging of the library with one model and one vocabulary: how scores become tags."""

    __tablename__ = "tagging"
    __table_args__ = (Index("ix_tagging_model_vocabulary", "model_id", "vocabulary_id", unique=True),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("model.id"))
    vocabulary_id: Mapped[int] = mapped_column(ForeignKey("vocabulary.id"))
    decision: Mapped[dict[str, Any]] = mapped_column(JSON)  # method, calibration, threshold
    changed_at: Mapped[datetime]  # UTC


class TagLabel(Base):
    """What a person says of a photo: it has a tag, or it has not. Kept apart from every model's scores.

    It belongs to the photo's bytes: to all of its copies, wherever they move, and to no other picture of its name.
    """

    __tablename__ = "tag_label"
    __table_args__ = (PrimaryKeyConstraint("content_sha256", "tag"), {"sqlite_with_rowid": False})

    content_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    tag: Mapped[str] = mapped_column(String(255), index=True)
    present: Mapped[bool]
    made_at: Mapped[datetime]  # UTC


class CaptionSet(Base):
    """One source of captions: a model that writes them, or a model choosing from a file's lines."""

    __tablename__ = "caption_set"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), unique=True)
    kind: Mapped[str] = mapped_column(String(16))  # chosen or generated
    model: Mapped[str] = mapped_column(Text)  # the key of the model that chose or wrote
    source: Mapped[str] = mapped_column(Text)  # the file of the lines, or the model's name


class CaptionText(Base):
    """A caption's words, once for all photos that have it; `digest` is their SHA-256."""

    __tablename__ = "caption_text"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    text: Mapped[str] = mapped_column(Text)


class Caption(Base):
    """A photo's caption from one set; rank 1 is the best."""

    __tablename__ = "caption"
    __table_args__ = (PrimaryKeyConstraint("set_id", "photo_id", "rank"),)

    set_id: Mapped[int] = mapped_column(ForeignKey("caption_set.id", ondelete="CASCADE"))
    photo_id: Mapped[int] = mapped_column(ForeignKey("photo.id", ondelete="CASCADE"), index=True)
    rank: Mapped[int]
    text_id: Mapped[int] = mapped_column(ForeignKey("caption_text.id"), index=True)
    score: Mapped[float | None]  # cosine between photo and caption; absent for generated ones


class SavedSearch(Base):
    """A search that a person keeps under a name."""

    __tablename__ = "saved_search"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    query: Mapped[str] = mapped_column(Text)
    options: Mapped[dict[str, Any]] = mapped_column(JSON)  # what differs from the defaults
    saved_at: Mapped[datetime]  # UTC


class Restyling(Base):
    """A photo restyled: the picture lies at `path`; `wish` is a digest of all that was asked for.

    result_photo_id: its row among the photos, of the state "restyled", once it was added to the library.
    source_sha256: of the bytes that it was made of, which say whose result it is, wherever the photo lies by now.
    """

    __tablename__ = "restyling"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    source_photo_id: Mapped[int | None] = mapped_column(ForeignKey("photo.id", ondelete="SET NULL"), index=True)
    result_photo_id: Mapped[int | None] = mapped_column(ForeignKey("photo.id", ondelete="SET NULL"), index=True)
    source_sha256: Mapped[bytes | None] = mapped_column(LargeBinary(32), index=True)
    wish: Mapped[str] = mapped_column(String(64), index=True)
    path: Mapped[str] = mapped_column(Text)  # relative to the library's folder
    engine: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(Text)
    palette: Mapped[str] = mapped_column(Text)
    rung: Mapped[str] = mapped_column(String(64))
    lineage: Mapped[dict[str, Any]] = mapped_column(JSON)  # whole: restyle.results.Lineage
    sha256: Mapped[str | None] = mapped_column(String(64))  # of the file; absent where an earlier version made it
    seconds: Mapped[float]
    made_at: Mapped[datetime]  # UTC


class QuizGame(Base):
    """One round of the recognition quiz: which of `n` results somebody matched with their originals."""

    __tablename__ = "quiz_game"

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    played_at: Mapped[datetime]  # UTC
    player: Mapped[str] = mapped_column(Text)
    method: Mapped[str] = mapped_column(String(16))  # person, or what matched by itself
    right: Mapped[int]
    n: Mapped[int]
    answers: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
