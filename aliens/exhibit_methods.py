"""What a library shows of restyling: palettes, engines, pictures of results, and the quiz for a page."""

import random
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aliens.owner import Owner
from base.errors import QueryError

if TYPE_CHECKING:
    from restyle.quiz.game import Quiz
    from restyle.quiz.playing import CountedAnswers
    from restyle.swatches import EngineAtHand, PaletteSwatches

Side = Literal["result", "original"]


class ExhibitMethods(Owner):
    """Looking at what was restyled, and at what may be."""

    def palettes(self) -> "list[PaletteSwatches]":
        """Return the palettes that are shipped, with their colours."""
        from restyle.swatches import palette_swatches

        return palette_swatches()

    def engines(self) -> "list[EngineAtHand]":
        """Return the usual engines, and what those lack that cannot be used on this machine."""
        from restyle.swatches import engines_at_hand

        return engines_at_hand()

    def result_picture(
        self, result_id: int, side: Side = "result", *, seen: bool = False, longest_px: int = 960
    ) -> bytes:
        """Return a result, or what it was made of, as a JPEG; both are of the same size.

        Args:
            result_id: the result's own number.
            side: the result, or its original.
            seen: as a protanope sees it.
            longest_px: the longer side, at most.

        Raises: QueryError: there is no such result, or the picture is not there any more.
        """
        from base.errors import PhotoError
        from restyle.pages import picture_of_result
        from restyle.restyled import RestyledPhotos, why_lost

        with self.catalog.session() as session:
            result = RestyledPhotos(self.catalog, session).named([result_id])[0]
            try:
                return picture_of_result(session, result, side, seen_by_protanope=seen, longest_px=longest_px)
            except (OSError, PhotoError) as error:
                raise QueryError(f"result {result_id} cannot be shown: {why_lost(error)}") from error

    def quiz_to_play(self, seed: int = 0, *, most: int = 12, choices: int = 4) -> "Quiz":
        """Return a quiz on the newest result of each photo that both can be found of; no picture is opened.

        Args:
            seed: of which are asked about, where there are more, and of their order.
            most: questions.
            choices: photos to choose from, 2 to 9.

        Raises: QueryError: fewer than two photos can be asked about.
        """
        from db.photo_rows import photo_records
        from restyle.quiz.game import Asked, ask, newest
        from restyle.restyled import RestyledPhotos

        with self.catalog.session() as session:
            known = newest(result for result in RestyledPhotos(self.catalog, session).all() if result.exists)
            sources = photo_records(session, [result.lineage.source_photo_id for result in known])
            known = [result for result in known if result.lineage.source_photo_id in sources]
            chosen = random.Random(seed).sample(known, min(most, len(known)))
            asked = [Asked(each.id, each.lineage.source_photo_id, each.lineage.wish) for each in chosen]
            vectors = self.index(session).vectors(np.array([each.source_id for each in asked], np.int64))
        return ask(asked, vectors, seed, choices)

    def count_quiz_sheet(self, record: dict[str, Any]) -> "CountedAnswers":
        """Count and keep what a person answered in a page: what `count_quiz_answers` reads from a file.

        Raises:
            QueryError: they are no answers to a quiz on this library's results.
            LibraryError: the library cannot be written.
        """
        from restyle.quiz.answer_sheets import sheet_of
        from restyle.quiz.playing import count_answers

        return count_answers(self.catalog, sheet_of(record, "what was handed in"))
