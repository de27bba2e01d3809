"""Settings that several parts share: the library folder's layout, the default model, the shipped assets.

Precedence everywhere: flag, environment (ALIENS_*), the library's own settings, default.
"""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from base.errors import AliensError, LibraryError
from base.files import read_regular
from base.records import parse_toml

DEFAULT_LIBRARY = "aliens-library"
DEFAULT_MODEL = "ViT-B-32/openai"


def default_model() -> str:
    """Return the model that a new library gets: ALIENS_MODEL, or the case study's ViT-B-32/openai."""
    return os.environ.get("ALIENS_MODEL") or DEFAULT_MODEL


def cache_folder() -> Path:
    """Return where it is kept what can be made again at any time: ALIENS_CACHE, or a folder of the user's own."""
    said = os.environ.get("ALIENS_CACHE")
    return Path(said) if said else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cv-aliens"


def asset(name: str) -> Path:
    """Return the path of a file or folder that a package of ours brings along, such as search/vocabularies.

    Raises: AliensError: it is not there: the installation is not whole.
    """
    package, _, inside = name.partition("/")
    try:
        path = Path(str(resources.files(package) / inside))
    except ModuleNotFoundError:
        path = Path(package) / inside
    if not path.exists():
        raise AliensError(f"{name} is not at {path}: CV-Aliens is not installed whole, so install it again")
    return path


@dataclass(frozen=True, slots=True)
class LibraryFolder:
    """Where everything of one library lies on disk.

    nested: it lies inside another library's folder: its database does, too, wherever that of the other one may be.
    """

    root: Path
    nested: bool = False

    def absolute(self) -> "LibraryFolder":
        """Return the same folder by a path that stays its own when the working folder changes."""
        return LibraryFolder(self.root.absolute(), self.nested)

    @property
    def database_file(self) -> Path:
        """The SQLite file that holds the metadata unless another database was chosen."""
        return self.root / "library.db"

    @property
    def config_file(self) -> Path:
        """The file that names another database than library.db; absent for most libraries."""
        return self.root / "library.toml"

    @property
    def lock_file(self) -> Path:
        """Locked by the one process that may add photos."""
        return self.root / "library.lock"

    @property
    def holder_file(self) -> Path:
        """Says which process has the lock, while one has it."""
        return self.root / "library.holder"

    @property
    def pages(self) -> Path:
        """What `aliens serve` keeps: the basket, and jobs with what they said."""
        return self.root / "pages"

    @property
    def restyled(self) -> Path:
        """The folder of restyled photos."""
        return self.root / "restyled"

    @property
    def duplicates(self) -> Path:
        """What is kept of looking for copies of photos: it may be removed at any time."""
        return self.root / "duplicates"

    @property
    def floors_file(self) -> Path:
        """How alike a result must be to its photo: see restyle.floors."""
        return self.restyled / "floors.json"

    def vectors(self, model_key: str) -> Path:
        """The folder of a model's segments of vectors."""
        return self.root / "vectors" / model_key

    def embedding_lock(self, model_key: str) -> Path:
        """Locked by the one process that makes vectors of a model which is not in use."""
        return self.root / "vectors" / f"{model_key}.lock"

    def of_model(self, model_key: str) -> list[Path]:
        """All folders that hold what one model has made; samples that models were compared on are none of them."""
        kinds = ("vectors", "index", "text", "image", "tags", "hotels50k")
        return [self.root / kind / model_key for kind in kinds]

    def index(self, model_key: str) -> Path:
        """The folder of a model's approximate index, where there is one."""
        return self.root / "index" / model_key

    def text_tower(self, model_key: str) -> Path:
        """The folder of a model's text tower, in the form that starts fast."""
        return self.root / "text" / model_key

    @property
    def image_towers(self) -> Path:
        """The folder of image towers that were calibrated to int8, by the keys of their models."""
        return self.root / "image"

    def scores(self, model_key: str, vocabulary_key: str) -> Path:
        """The folder of a model's scores for a vocabulary."""
        return self.root / "tags" / model_key / vocabulary_key

    def learnt_scores(self, model_key: str, vocabulary_key: str, key: str) -> Path:
        """The folder of a model's cosines with what labels taught of a vocabulary, under the key of that."""
        return self.root / "tags" / model_key / f"{vocabulary_key}.learnt-{key}"

    def all_scores(self, model_key: str, vocabulary_keys: Iterable[str]) -> Iterator[Path]:
        """Yield the folders of a model's scores for vocabularies, and of what labels taught of them."""
        for key in vocabulary_keys:
            yield self.scores(model_key, key)
            yield from sorted((self.root / "tags" / model_key).glob(f"{glob.escape(key)}.learnt-*"))

    def photo_table(self, model_key: str) -> Path:
        """The folder of the table with the columns of all photos that have vectors of a model."""
        return self.root / "tags" / model_key

    def hotels50k(self, model_key: str, split: str) -> "LibraryFolder":
        """The library of Hotels-50K's test photos of a split, which are compared with this library's, never added."""
        return LibraryFolder(self.root / "hotels50k" / model_key / split, nested=True)

    def compared(self, model_key: str) -> "LibraryFolder":
        """The library of a sample of this one's photos by another model, which is compared with this library's."""
        return LibraryFolder(self.root / "compared" / model_key, nested=True)

    @property
    def vocabularies(self) -> Path:
        """The folder of the vocabularies that people made for this library, as files named by their keys."""
        return self.root / "vocabularies"

    def database_url(self) -> str:
        """Return the SQLAlchemy URL: ALIENS_DATABASE, library.toml's `database`, or SQLite in the folder.

        Raises: LibraryError: library.toml cannot be read, or the folder's name is no text.
        """
        if self.nested:
            return self.own_database_url()
        if url := os.environ.get("ALIENS_DATABASE"):
            return url
        if self.config_file.exists():
            try:
                return str(parse_toml(read_regular(self.config_file).decode("utf-8-sig"))["database"])
            except (OSError, ValueError, KeyError) as error:
                raise LibraryError(
                    f'{self.config_file} is damaged ({error}): it should hold one line, database = "URL"'
                ) from error
        return self.own_database_url()

    def own_database_url(self) -> str:
        """Return the SQLAlchemy URL of SQLite in the folder. Raises: LibraryError: its name is no UTF-8."""
        try:
            return f"sqlite:///{quote(str(self.database_file))}"
        except UnicodeEncodeError:
            raise LibraryError(f"{self.root} is not valid UTF-8: name another folder for the library") from None
