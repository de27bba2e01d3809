from pathlib import Path

import pytest
from sqlalchemy import make_url

from base.errors import AliensError, LibraryError
from base.settings import LibraryFolder, asset, default_model

POSTGRES = "postgresql+psycopg://guest@host/hotels"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALIENS_DATABASE", "ALIENS_MODEL", "ALIENS_LIBRARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> LibraryFolder:
    return LibraryFolder(tmp_path)


def test_the_model_is_the_environments_or_the_case_studys(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_model() == "ViT-B-32/openai"
    monkeypatch.setenv("ALIENS_MODEL", "starter")
    assert default_model() == "starter"
    monkeypatch.setenv("ALIENS_MODEL", "")
    assert default_model() == "ViT-B-32/openai"


def test_the_database_is_the_environments_then_the_librarys_then_sqlite(
    folder: LibraryFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder.database_url() == f"sqlite:///{folder.root}/library.db"
    folder.config_file.write_text(f'database = "{POSTGRES}"\n', encoding="utf-8")
    assert folder.database_url() == POSTGRES
    monkeypatch.setenv("ALIENS_DATABASE", "sqlite:////elsewhere.db")
    assert folder.database_url() == "sqlite:////elsewhere.db"
    monkeypatch.setenv("ALIENS_DATABASE", "")
    assert folder.database_url() == POSTGRES


LIKE_A_URL = ["what?", "sunset?mode=ro", "100%25", "a%20b"]


@pytest.mark.parametrize("name", ["library", "with space", "отель ü", "a#b", "a&b=c", "a@b:c", "a;b", *LIKE_A_URL])
def test_the_database_lies_in_the_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    folder = LibraryFolder(tmp_path / name)
    assert make_url(folder.database_url()).database == str(folder.database_file)


def test_an_environment_that_names_the_database_needs_no_configuration(
    folder: LibraryFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.config_file.write_text("damaged", encoding="utf-8")
    monkeypatch.setenv("ALIENS_DATABASE", POSTGRES)
    assert folder.database_url() == POSTGRES


DAMAGED = [b"database = ", b"database", b'url = "sqlite://"', b"", b"[database", b'"', b"a = " + b"[" * 5_000]


@pytest.mark.parametrize("content", [*DAMAGED, b'database = "\xff"\n', None])
def test_a_configuration_that_cannot_be_read_is_named(folder: LibraryFolder, content: bytes | None) -> None:
    if content is None:
        folder.config_file.mkdir()
    else:
        folder.config_file.write_bytes(content)
    with pytest.raises(LibraryError) as caught:
        folder.database_url()
    assert str(folder.config_file) in str(caught.value)
    assert 'database = "URL"' in str(caught.value)


def test_everything_of_a_library_lies_in_its_folder(folder: LibraryFolder) -> None:
    assert folder.vectors("model-00000000") == folder.root / "vectors" / "model-00000000"
    assert folder.index("model-00000000") == folder.root / "index" / "model-00000000"
    assert folder.lock_file.parent == folder.root


def test_the_shipped_folders_are_found() -> None:
    assert (asset("embedding/starter") / "open_clip_config.json").is_file()
    assert (asset("aliens/samples") / "labels.csv").is_file()


@pytest.mark.parametrize("name", ["base/absent", "search/vocabularies/absent", "models/absent"])
def test_an_absent_folder_is_named_with_the_remedy(name: str) -> None:
    with pytest.raises(AliensError, match="install it again") as caught:
        asset(name)
    assert str(caught.value).startswith(f"{name} is not at ")


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="not valid UTF-8: name another folder"):
        LibraryFolder(tmp_path / "caf\udce9").database_url()
