"""What a library can do for those who look at single photos: where their bytes lie, and all that is known of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aliens.owner import Owner
from base.arrays import Floats
from base.files import real_place

if TYPE_CHECKING:
    from db.picture_rows import HotelDetails as HotelDetails
    from db.picture_rows import PhotoDetails as PhotoDetails
    from db.picture_rows import PictureFacts as PictureFacts
    from db.picture_rows import PictureFile as PictureFile


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoSheet:
    """All that is known of a photo, for its page.

    shown_path: relative to the folder that was added, whose name leads it. captions: [(text, cosine with the photo or
    None, key of their set)], the best of each set first. copies: ids and shown paths of photos with the same bytes.
    made_of: of a restyled photo its number as a result, and its photo's, if that is here.
    """

    details: "PhotoDetails"
    shown_path: str
    captions: list[tuple[str, float | None, str]]
    copies: list[tuple[int, str]]
    made_of: tuple[int, int | None] | None


class PictureMethods(Owner):
    """Single photos and hotels, looked at. None of these opens a photo that was not added."""

    def picture_file(self, photo_id: int) -> "PictureFile | None":
        """Return where a photo's bytes lie and which they are; None: no such photo, or outside of what was added."""
        from db.picture_rows import can_be_an_id, named_one_by_one, picture_file, scanned_roots
        from search.shown_paths import lies_below

        if not can_be_an_id(photo_id):
            return None
        with self.catalog.session() as session:
            file = picture_file(session, photo_id)
            if file is None:
                return None
            roots = [str(self.folder.restyled)] if file.result else scanned_roots(session)
            by_itself = named_one_by_one(session) and real_place(file.path) == file.path  # and no link leads elsewhere
        return file if by_itself or lies_below(file.path, roots) else None

    def picture_facts(self, photo_ids: Sequence[int]) -> "dict[int, PictureFacts]":
        """Return {photo id: size and version of its picture} of those of the photos that can be found."""
        from db.picture_rows import can_be_an_id, picture_facts

        with self.catalog.session() as session:
            return picture_facts(session, list(filter(can_be_an_id, photo_ids)))

    def filter_term(self, name: str, value: str) -> str:
        """Return a filter as a query writes it, such as chain:"Best Western"."""
        from search.query import Filter, format_filter

        return format_filter(Filter(name, value))

    def hotel_term(self, hotel_id: int, name: str | None) -> str:
        """Return the filter that asks for a hotel's photos: by the number that people know, or else by its name."""
        from db.hotel_rows import known_number

        number = known_number(hotel_id)
        return self.filter_term("hotel", str(hotel_id) if number is not None or name is None else name)

    def sheet_of(self, photo_id: int) -> PhotoSheet | None:
        """Return all that is known of a photo, or of a restyled one; None where there is none of this number."""
        from db.caption_rows import captions_of
        from db.picture_rows import can_be_an_id, copies_of, made_of, photo_details, scanned_roots
        from search.shown_paths import shown_path

        if not can_be_an_id(photo_id):
            return None
        with self.catalog.session() as session:
            details = photo_details(session, photo_id)
            if details is None:
                return None
            roots = [str(self.folder.restyled)] if details.file.result else scanned_roots(session)
            copies = copies_of(session, photo_id, details.file.sha256)
            return PhotoSheet(
                details=details,
                shown_path=shown_path(details.file.path, details.file.member, roots),
                captions=captions_of(session, [photo_id]).get(photo_id, []),
                copies=[(copy_id, shown_path(file.path, file.member, roots)) for copy_id, file in copies],
                made_of=made_of(session, photo_id) if details.kind == "restyled" else None,
            )

    def vocabulary_keys(self) -> list[str]:
        """Return the keys of the vocabularies that the library was tagged with, the newest first."""
        from db.tag_rows import vocabulary_keys

        with self.catalog.session() as session:
            return vocabulary_keys(session, self.model)

    def hotel_details(self, hotel_id: int) -> "HotelDetails | None":
        """Return a hotel's names, its place and how many photos it has; None where there is none of this number."""
        from db.picture_rows import can_be_an_id, hotel_details

        if not can_be_an_id(hotel_id):
            return None
        with self.catalog.session() as session:
            return hotel_details(session, hotel_id)

    def photos_of_hotel(self, hotel_id: int, *, first: int = 0, count: int = 50) -> tuple[list[int], int]:
        """Return the ids of a hotel's photos from place `first` on, counted from 0, and how many it has in all."""
        from db.picture_rows import can_be_an_id, photos_of_hotel

        if not can_be_an_id(hotel_id):
            return [], 0
        with self.catalog.session() as session:
            return photos_of_hotel(session, hotel_id, first, count)

    def count_hotels(self) -> int:
        """Return how many hotels the library knows."""
        from db.hotel_rows import count_hotels

        with self.catalog.session() as session:
            return count_hotels(session)[0]

    def encode_photo(self, data: bytes, *, max_pixels: int) -> Floats:
        """Return the unit vector (d,) float32 of a photo that is no part of the library, given as a file's bytes.

        Raises: PhotoError: it cannot be decoded, or has more pixels.
        """
        import numpy as np

        from embedding.decode import decode

        decoded = decode(data, self.encoder.preprocessing, max_pixels)
        vector: Floats = self.encoder.encode_images(decoded.pixels[np.newaxis])[0]
        return vector
