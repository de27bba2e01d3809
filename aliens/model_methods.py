"""What a library can do with its models: others beside the one in use, and what there is to choose from."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aliens.restyle_methods import RestyleMethods
from base.errors import LibraryBusyError, QueryError
from base.listing import Listing
from base.progress import Progress, Step

if TYPE_CHECKING:
    from analysis.model_estimates import ListedModel
    from db.models import Model
    from embedding.encoder import Encoder
    from embedding.open_clip_encoder import OpenClipEncoder
    from indexer.inventory import ModelStanding
    from indexer.model_care import FurtherReport, UseReport


class ModelMethods(RestyleMethods):
    """Several models in one library: every photo has a vector of the one in use, and may have vectors of others."""

    def embed(
        self, model: str | None = None, *, encoder: "Encoder | None" = None, progress: Progress | None = None
    ) -> "FurtherReport":
        """Make vectors of another model for all photos that can be found; searches, tags and exports go on meanwhile.

        They are those of a library that was made with this model alone. May be stopped at any time; the same call goes
        on where it stopped. `use` makes it the library's own; `aliens.open(path, model=NAME)` searches by it before.

        A library that was opened with precision="int8" calibrates the model on its first photos, measures on others how
        far vectors drift from those of float32, and has the result as a model of its own, called NAME@int8.

        Args:
            model: ARCHITECTURE/WEIGHTS of open_clip, starter, local-dir:FOLDER or hf-hub:ORG/NAME; of a model that the
                library has already, its name, its key, or the beginning of either. With int8, by default the one in
                use.
            encoder: the model itself, in place of its name.
            progress: told of photos.

        Raises:
            QueryError: no model was named; the library uses it; the name means several of its models; or there are too
                few photos to calibrate on.
            EncoderError: the model is unknown or its weights cannot be had; or int8 needs software or a processor that
                is not here, or would drift too far.
            LibraryError: another process makes vectors of this model, or the disk is full or cannot be written.
        """
        from indexer.model_care import embed_further

        self.catalog.refuse_unwritable()
        with self.showing(progress) as tell:
            chosen = encoder or self._loaded(model or "", tell)
            report = embed_further(self.catalog, chosen, tell, before=lambda row: self._keep_texts(row, chosen))
            if report.interrupted:
                return report
            return self._with_restyled(report, chosen, tell)

    def _loaded(self, name: str, progress: Progress) -> "Encoder":
        """Load a model that is not in use. Raises: QueryError: it is in use, or none was named."""
        from db.model_rows import find_model
        from db.vector_rows import current_model
        from embedding.image_files import INT8, is_int8

        with self.catalog.session() as session:
            used, is_calibrated = current_model(session), self._precision == "int8" or is_int8(name)
            if not name and not is_calibrated:
                raise QueryError("name the model to embed by, such as ViT-B-16/openai: `aliens models` lists them")
            known = find_model(session, name or used.name)
            if is_calibrated and not is_int8(known.name if known else ""):
                base = known.name if known else name.removesuffix(INT8)
                return self._loaded_int8(base, find_model(session, base), progress)
        if known is not None and known.key == used.key:
            raise QueryError(f"{used.name} is the model in use: `aliens add FOLDER` embeds photos by it")
        return self._load(name if known is None else known.name, known)

    def _load(self, name: str, known: "Model | None", **settings: str) -> "OpenClipEncoder":
        """Load a model by its name, which has the key that is known of it, if it is."""
        from embedding.open_clip_encoder import OpenClipEncoder  # imports torch, which takes seconds

        self.tell(f"loading {name} ...")
        asked = {"device": self.device, "precision": self._precision, "backend": self._backend} | settings
        key = None if known is None else known.key
        found = OpenClipEncoder.load(name, key=key, towers=self.folder.image_towers, tell=self.tell, **asked)
        self.tell(str(found))
        return found

    def _loaded_int8(self, base: str, of: "Model | None", progress: Progress) -> "OpenClipEncoder":
        """Return a model as it was calibrated for this library, or calibrate it; `of`: what it is here as it is.

        Raises: QueryError: there are too few photos, or it was calibrated more than once.
        """
        from db.catalog import disk_errors
        from db.model_rows import library_models
        from embedding.image_files import INT8
        from embedding.int8 import calibrated, refuse_calibration
        from embedding.open_clip_encoder import lasting_name
        from indexer.calibration_photos import calibration_photos, refuse_few_photos
        from search.tags.tagging import text_vectors
        from search.tags.vocabulary import DEFAULT, read_vocabulary

        name = lasting_name(base) + INT8
        with self.catalog.session() as session:
            known = [model for model in library_models(session) if model.name == name]
            if len(known) > 1:
                raise QueryError(f"{name} was calibrated more than once: say {' or '.join(m.key for m in known)}")
            if known:
                return self._load(name, known[0])
            refuse_calibration(base, device=self.device, backend=self._backend)
            refuse_few_photos(session)  # before a model is loaded, which takes seconds
            encoder = self._load(base, of, device="cpu", precision="float32", backend="torch")
            calibration, sample = calibration_photos(session, encoder.preprocessing, progress)
        self.tell(f"calibrating {base} to int8 on {len(calibration)} photos, measuring on {len(sample)} others ...")
        texts, _ = text_vectors(encoder, read_vocabulary(DEFAULT))
        with disk_errors(self.folder):
            found = calibrated(encoder, calibration, sample, texts, self.folder.image_towers)
        self.tell(str(found))
        return found

    def _keep_texts(self, model: "Model", encoder: "Encoder") -> None:
        """Keep what searches by a model want: its text tower, and its vectors of words that mean nothing."""
        from embedding.encoder import keep_text_tower
        from search.query_vectors import keep_nonsense

        tower = self.folder.text_tower(model.key)
        if not tower.exists():
            keep_text_tower(encoder, tower)
        keep_nonsense(self.catalog.of(model), encoder)

    def _with_restyled(self, report: "FurtherReport", encoder: "Encoder", progress: Progress) -> "FurtherReport":
        """Give vectors of a model to the restyled photos that searches find, unless another process is at work."""
        from dataclasses import replace

        from db.model_rows import named_model
        from embedding.index.milvus_rows import segment_store
        from restyle.restyled import add_to_library

        results = [result for result in self.restyled() if result.photo_id is not None]
        if not results:
            return report
        progress(Step("embedding", 0, len(results), "restyled photos"))
        with self.catalog.session() as session:
            model = named_model(session, report.model)
            store = segment_store(self.folder, model.key, model.dim)
            try:
                added = add_to_library(self.catalog.of(model), session, store, encoder, results)
            except LibraryBusyError:  # `aliens restyle list --add` does so as well, once it is in use
                added = 0
        return replace(report, restyled=added)

    def use(self, model: str) -> "UseReport":
        """Take another model into use: searches, tags and what is added are by it from then on. Nothing is embedded.

        Whoever has the library open goes on with the model that it was opened with; open it again.

        Args:
            model: its name, its key, or the beginning of either.

        Raises:
            QueryError: the library has no such model.
            LibraryError: photos lack its vectors, or another process changes the library.
        """
        from indexer.model_care import take_into_use

        return take_into_use(self.catalog, model)

    def models(self) -> "Listing[ModelStanding]":
        """Return the models of this library, the one in use first, with how many photos have their vectors."""
        from indexer.inventory import standings

        return Listing(standings(self.catalog))

    def forget_model(self, model: str, *, dry_run: bool = False) -> "ModelStanding":
        """Remove a model that is not in use: its vectors, tags, index and text tower. What people said stays.

        Args:
            model: its name, its key, or the beginning of either.
            dry_run: change nothing, and return what would be removed.

        Raises:
            QueryError: the library has no such model, or uses it.
            LibraryError: another process changes the library or makes vectors of the model.
        """
        from indexer.model_care import forget_model

        return forget_model(self.catalog, model, dry_run=dry_run)

    def lacking(self) -> int:
        """Return how many photos this library's model does not find: of one that is not in use, which may lack some."""
        from db.model_rows import counted_without_vector

        with self.catalog.session() as session:
            return counted_without_vector(session, self.model)

    def known_models(self, words: Sequence[str] = (), *, every: bool = False) -> "Listing[ListedModel]":
        """Return models to choose from: what they cost this library on this device, and what is published of them.

        Args:
            words: that their names have, all of them.
            every: all models of open_clip; by default, without words, a choice of them.

        Raises: QueryError: no model has these words in its name.
        """
        from analysis.model_estimates import listed_models

        return Listing(listed_models(self.catalog, words, every=every, device=self.device, precision=self._precision))
