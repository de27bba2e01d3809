"""What a library can do to make photos alien: pick, restyle and show them, and ask whether they are recognised."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy.orm import Session

from aliens.owner import Where
from aliens.tag_methods import TagMethods
from base.errors import EncoderError, LibraryError, ModelMismatchError, QueryError
from base.files import PhotoFile
from base.listing import Listing
from base.progress import Progress, Step
from db.photo_names import Named, number_or_path, photos_called

if TYPE_CHECKING:
    from embedding.encoder import Encoder
    from restyle.alienise import Attempt
    from restyle.candidates.picking import Candidates
    from restyle.judge import Tags
    from restyle.picks import Pick
    from restyle.protanopia import Visibility
    from restyle.quiz.playing import CountedAnswers, Game, Played
    from restyle.restyled import Result, ResultListing
    from restyle.studio import Done, Failed, Order, Restyled, Studio, Wishes

Strategy = Literal["mixed", "detailed", "opposite-palette", "minimal"]
LEAST = 8  # photos of a query's for each pick, even where they lie below its stop line


class RestyleMethods(TagMethods):
    """Candidates, restyling, results, the quiz."""

    def candidates(
        self,
        query: str | None = None,
        *,
        tags: Sequence[str] = (),
        n: int = 6,
        strategy: Strategy = "mixed",
        palette: Where = "fern",
        pool: int = 400,
        seed: int = 0,
        engine: str | None = None,
        progress: Progress | None = None,
    ) -> "Candidates":
        """Pick photos worth restyling, spread over hotels and over what they show, and say why.

        Photos that are small, blurred, badly exposed, panoramas, doubles, text or people are rejected, with a reason.

        Args:
            query: choose among the photos that a search finds.
            tags: only photos with all these tags.
            n: how many.
            strategy: full of details, in colours opposed to the palette, nearly empty, or all three in turn.
            palette: the alien palette: a name, or a .toml file.
            pool: open and measure at most so many photos.
            seed: of the sample, where the library holds more photos.
            engine: what they are to be restyled by; by default sd15 where its weights are at hand, else regrade.
            progress: told of the photos measured.

        Raises:
            QueryError: what is asked for makes no sense, or no photo is left to choose from.
            EngineError: there is no such engine.
        """
        from restyle.candidates.picking import choose
        from restyle.engines.loading import engine_at_hand
        from restyle.palettes import lasting_palette, read_palette
        from search.pool import read_pool

        alien, engine = read_palette(os.fspath(palette)), engine_at_hand(engine)
        photos = read_pool(self.searcher, query, tags, most=pool, least=LEAST * n, seed=seed)
        encoder, absent = self._text_encoder()
        with self.showing(progress) as tell:
            found = choose(
                photos.records, photos.vectors, alien, n=n, strategy=strategy, encoder=encoder, progress=tell
            )
        found.asked = " ".join(filter(None, [query, *(f"tag:{name}" for name in tags)]))
        found.palette, found.library = lasting_palette(os.fspath(palette)), str(self.path)
        found.engine = engine
        found.notes = [note for note in (absent, photos.note, *found.remarks(n)) if note]
        return found

    def restyle(
        self,
        photos: Named | Iterable[Named] = (),
        *,
        picks: "Where | Candidates | None" = None,
        query: str | None = None,
        n: int = 6,
        engine: str | None = None,
        palette: Where | None = None,
        preset: Literal["lcm", "turbo"] | None = None,
        controls: Sequence[str] = (),
        prompt: str | None = None,
        negative_prompt: str | None = None,
        strength: float | None = None,
        seed: int = 0,
        seeds: int = 3,
        longest_px: int | None = None,
        offload: bool = False,
        precision: str = "auto",
        floor: float | None = None,
        budget_s: float | None = None,
        file_format: Literal["png", "jpg"] = "png",
        add: bool = False,
        again: bool = False,
        output: Where | None = None,
        progress: Progress | None = None,
        on_done: "Callable[[Done | Failed], None]" = lambda each: None,
    ) -> "Restyled":
        """Restyle photos so that they are alien, and recognised still.

        Of every photo the strongest result is kept that passes the floors; how it was found is kept with it. May be
        stopped at any time; the same call goes on where it stopped.

        Args:
            photos: one photo of the library or several, by id or path.
            picks: in their place, what `candidates` picked, or the file that it wrote.
            query: in their place, the best hits of a search.
            n: how many hits, with a query.
            engine: sd15, sdxl, klein, a model's name on the hub or its folder: diffusion. Without weights: regrade,
                colours alone; grow, colours and drawn plants. By default the picks', or sd15.
            palette: fern, emerald, lagoon, moss or a .toml file; by default the picks', or fern.
            preset: few steps, for CPUs: lcm or turbo.
            controls: control maps to begin with, such as softedge or depth=0.5.
            prompt: what diffusion is told; by default of the photo's tags and caption.
            negative_prompt: what must not be seen; by default the palette's.
            strength: the highest that is tried, from 0 to 1; by default 0.75, with regrade and grow 1.
            seed: of the first attempts.
            seeds: how many others are tried at the boundary.
            longest_px: the longer side; by default 768 with sd15, 2048 with regrade and grow, else 1024.
            offload: less memory on the device, and slower.
            precision: what the engine computes in: auto, float32, bfloat16 or float16.
            floor: how much of outlines and shapes must be kept (edge F1 and HOG correlation), from 0 to 1; by default
                calibrated on the library.
            budget_s: at most so many seconds a photo.
            file_format: of the files: png or jpg.
            add: let searches find them that ask for kind:restyled or kind:any.
            again: make anew what was made before.
            output: a folder that results are copied to as well, named by photo, palette and engine.
            progress: told of photos and attempts.
            on_done: called with what became of each photo, as soon as it is known.

        Raises:
            QueryError: what is asked for makes no sense.
            EngineError: the engine's weights cannot be had.
            LibraryError: the disk is full or cannot be written; what was made so far is kept.
            OutputError: the folder cannot be written.
        """
        from base.copy_folder import CopyFolder
        from restyle.engines.engine import GROW, WEIGHTLESS
        from restyle.engines.loading import USUAL, load_engine
        from restyle.judge import library_judge
        from restyle.palettes import DEFAULT_PALETTE, read_palette
        from restyle.picks import read_picks
        from restyle.restyled import RestyledPhotos
        from restyle.studio import Done, Restyled, Studio, Wishes, orders_of

        listed = None
        if picks is not None:
            listed = read_picks(Path(picks)) if isinstance(picks, str | os.PathLike) else picks.as_picks()
        colours = read_palette(os.fspath(palette or (listed and listed.palette) or DEFAULT_PALETTE))
        engine = engine or (listed and listed.engine) or USUAL
        painting = {"preset": preset, "control": controls, "prompt": prompt, "negative-prompt": negative_prompt}
        if engine in WEIGHTLESS and (unused := [name for name, value in painting.items() if value]):
            self.tell(f"no diffusion model paints for {engine}, so --{' and --'.join(unused)} is left out")
        wishes = Wishes(
            palette=colours,
            paints=engine not in WEIGHTLESS,
            draws=engine == GROW,
            prompt=prompt,
            negative_prompt=negative_prompt,
            strength=strength,
            seed=seed,
            seeds=seeds,
            budget_s=budget_s,
        )
        meant = self._picks(self.photo_ids(photos), None if listed is None else listed.picks, query, n)
        self.catalog.refuse_unwritable()
        copies = None if output is None else CopyFolder(output)  # before the work is done
        with self.catalog.session() as session, self.showing(progress) as tell:
            orders = orders_of(self.catalog, session, meant, self._describing(session, wishes))
            loaded = load_engine(
                engine,
                device=self.device,
                precision=precision,
                preset=preset,
                offload=offload,
                longest_px=longest_px,
                controls=list(controls) or None,
                palette=colours,
            )
            self.tell(str(loaded))
            judge = library_judge(
                self.catalog,
                session,
                self.index(session),
                self.encoder,
                colours,
                floor=floor,
                tags=self._tag_checker(session),
                progress=tell,
            )
            if floor is None:
                self.tell(judge.floors.words)
            studio = Studio(
                engine=loaded,
                judge=judge,
                results=RestyledPhotos(self.catalog, session),
                file_format=file_format,
                floor=floor,
                again=again,
            )
            made = []
            for each in worked(studio, orders, tell):
                made.append(each)
                if copies is not None and isinstance(each, Done):
                    copies.add(each.result.readable_name, PhotoFile(str(each.result.path)))
                on_done(each)
        restyled = Restyled(made, floors=judge.floors.origin)
        if add and restyled.results:  # last: another process may be changing the library
            restyled.added = self.add_restyled(restyled.results)
        return restyled

    def restyled(
        self, results: Sequence[int] = (), *, photo: Named | None = None, engine: str | None = None
    ) -> "ResultListing":
        """Return restyled photos, with how each was made and what it scored: all, or those that are meant.

        Args:
            results: only these, by their numbers.
            photo: only results of this photo, given by its id or path.
            engine: only results of this engine.

        Raises: QueryError: there is no result of a number.
        """
        from restyle.restyled import RestyledPhotos, ResultListing

        photo_id = None if photo is None else self.photo_ids(photo)[0]
        with self.catalog.session() as session:
            kept = RestyledPhotos(self.catalog, session)
            if results and photo_id is None and engine is None:
                return ResultListing(kept.named(results))
            meant = kept.all(photo_id, engine) if abs(photo_id or 0) < 1 << 63 else []
            if not results:
                return ResultListing(meant)
            ids = {result.id for result in meant}
            return ResultListing(result for result in kept.named(results) if result.id in ids)

    def add_restyled(self, results: "Sequence[Result]") -> int:
        """Let searches find results that ask for kind:restyled or kind:any; return how many are new to them.

        Raises: LibraryError: another process or thread changes the library, or the disk is full.
        """
        from indexer.merging import merge_due
        from restyle.restyled import add_to_library

        with self.catalog.session() as session:
            added = add_to_library(self.catalog, session, self.store, self.encoder, results)
        if added:
            with suppress(LibraryError), self.catalog.writing() as session:  # or by the next one that may write
                merge_due(self.catalog, session, self.store)
        return added

    def write_restyled_page(self, results: "Sequence[Result]", path: Where) -> None:
        """Write a page of results beside their photos; the library's `tell` hears of what cannot be shown any more.

        Raises: OutputError: the file cannot be written. QueryError: its name does not end in .html.
        """
        from embedding.html_pages import check_page, write_page
        from restyle.pages import items_of, restyle_page

        check_page(Path(path))
        with self.catalog.session() as session:
            write_page(restyle_page(items_of(session, results, self.tell), "Restyled photos"), Path(path))

    def quiz(
        self,
        results: Sequence[int] = (),
        *,
        engine: str | None = None,
        seed: int = 0,
        choices: int | None = None,
        progress: Progress | None = None,
    ) -> "Played":
        """Play the recognition quiz: match restyled photos with their originals; `write_quiz` lets people do it.

        Args:
            results: only these, by their numbers; by default the newest of each photo.
            engine: only results of this engine.
            seed: of the order of questions and choices.
            choices: photos to choose from in the page, 2 to 9.
            progress: told of the photos compared.

        Raises: QueryError: there are no such results, or none can be read.
        """
        from restyle.quiz.playing import choose_results, play
        from restyle.restyled import RestyledPhotos

        with self.catalog.session() as session, self.showing(progress) as tell:
            chosen = choose_results(RestyledPhotos(self.catalog, session), results, engine)
            return play(session, chosen, self.encoder, seed=seed, choices=choices, progress=tell)

    def write_quiz(self, played: "Played", path: Where) -> str:
        """Write a quiz as a page that people play; return its name, by which their answers are known.

        Raises:
            QueryError: there is one photo to choose from, or the file's name does not end in .html.
            OutputError: the file cannot be written.
        """
        from embedding.html_pages import check_page, write_page
        from restyle.quiz.game import quiz_page

        check_page(Path(path))
        if played.quiz is None:
            few = "there is one photo to choose from: restyle more for the quiz to say anything"
            raise QueryError(f"{path} was not written: {few}")
        write_page(quiz_page(played.quiz, played.pairs), Path(path))
        return played.quiz.id

    def count_quiz_answers(self, path: Where) -> "CountedAnswers":
        """Count and keep what a person answered in a quiz's page.

        Raises:
            QueryError: the file is no sheet of answers of a quiz on this library's results.
            LibraryError: the library cannot be written.
        """
        from restyle.quiz.answer_sheets import read_answers
        from restyle.quiz.playing import count_answers

        return count_answers(self.catalog, read_answers(Path(path)))

    def quiz_games(self) -> "Listing[Game]":
        """Return the games that people have played."""
        from restyle.quiz.playing import played_games

        return Listing(played_games(self.catalog))

    def see(
        self, photo: Named, output: Where, *, against: Named | None = None, longest_px: int = 1024
    ) -> "Visibility | None":
        """Write a picture of a photo beside what a protanope sees of it, who has no cones for red.

        Args:
            photo: a photo of the library by its number or path, or any file.
            output: the picture to write.
            against: the same photo, changed: shows both, and measures what is seen of the change, which is returned.
            longest_px: the longer side of a picture, at most.

        Raises:
            QueryError: there is no such photo, it cannot be shown, or the output is the photo itself.
            OutputError: the picture cannot be written.
        """
        from restyle.protanopia import write_comparison

        files = [self._file(name) for name in (photo, against) if name is not None]
        return write_comparison(files[0], files[1] if len(files) > 1 else None, Path(output), longest_px)

    def _file(self, photo: Named) -> PhotoFile:
        """Return where a photo lies, given by its number, by a path that the library knows, or as any file."""
        meant = number_or_path(photo)
        if isinstance(meant, str):
            with self.catalog.session() as session:
                known = {} if os.path.isfile(meant) else photos_called(session, [meant])
            if meant not in known:
                return PhotoFile(str(photo))
            meant = known[meant]
        record = self.photo(meant)
        return PhotoFile(record.path, record.member)

    def _picks(
        self, photo_ids: Sequence[int], listed: "Sequence[Pick] | None", query: str | None, n: int
    ) -> "list[Pick]":
        """Return the photos that are meant, each once, in the order in which they were named or found.

        Raises: QueryError: none of the three ways, or more than one, is given; or a query finds nothing.
        """
        from restyle.picks import Pick

        if sum((bool(photo_ids), listed is not None, query is not None)) != 1:
            raise QueryError("say which photos: PHOTO ..., --manifest FILE or --query TEXT, one of the three")
        if listed is not None:
            return list(listed)
        if query is None:
            return [Pick(photo_id=photo_id, path="") for photo_id in dict.fromkeys(photo_ids)]
        hits = self.search(query, k=n)
        if hits.note:
            self.tell(hits.note)
        if not hits:
            raise QueryError(f"no photo is left for {query!r}: loosen its filters")
        return [Pick(photo_id=hit.photo_id, path=hit.path, member=hit.member) for hit in hits]

    def _describing(self, session: Session, wishes: "Wishes") -> "Wishes":
        """Return wishes that know how to describe a photo, for prompts."""
        from dataclasses import replace

        from db.caption_rows import captions_of
        from search.tags.tagging import Tagging, surest_tags

        def describe(photo_id: int) -> tuple[list[str], str | None]:
            captions = captions_of(session, [photo_id]).get(photo_id)
            try:
                tags = surest_tags(Tagging.open(self.catalog, session, self.store), photo_id)
            except QueryError:  # the library is not tagged
                tags = []
            return tags, captions[0][0] if captions else None

        return replace(wishes, describe=describe)

    def _tag_checker(self, session: Session) -> "Tags | None":
        """Return what tells which tags a result has lost; None, with a word, where the library is not tagged."""
        from search.tags.checking import TagChecker
        from search.tags.tagging import Tagging

        try:
            return TagChecker(Tagging.open(self.catalog, session, self.store), self.encoder)
        except QueryError:
            self.tell("tags are not compared, since the library has none yet: `aliens tag`")
            return None

    def _text_encoder(self) -> "tuple[Encoder | None, str]":
        """Return what encodes texts, or None, with a note, where the model cannot be had."""
        try:
            self.encoder.encode_texts(("a room",))
        except (EncoderError, ModelMismatchError) as error:
            return None, f"text and people are not looked for, since the model cannot be had: {error}"
        return self.encoder, ""


def worked(studio: "Studio", orders: "Sequence[Order]", progress: Progress) -> "Iterator[Done | Failed]":
    """Yield what becomes of every order, and tell of the attempts meanwhile."""
    from restyle.restyled import MADE

    def tell(order: "Order", attempt: "Attempt") -> None:
        how = "recognised" if attempt.recognisable else attempt.failures[0]
        words = MADE.get(attempt.rung, attempt.rung)
        note = f"photo {order.photo_id}, {words}, strength {attempt.settings.strength:.2f}: {how}"
        progress(Step("restyling", done, len(orders), note=note))

    done = 0
    progress(Step("restyling", done, len(orders)))
    for each in studio.restyle(orders, tell):
        done += 1
        progress(Step("restyling", done, len(orders)))
        yield each
