"""Photos at addresses: folders of object stores, and of web servers that list them. Reads no photos."""

from collections.abc import Iterator, Sequence

from base.errors import SourceError
from base.files import storable
from base.remote import RemoteFacts, facts_at, listing, matching, shown_problem
from base.tars import is_any_tar, is_tar
from base.urls import WEB, plain_url
from indexer.ignoring import Pattern, Patterns, Rules
from indexer.looking import looks_in_order
from indexer.passed_over import Problem, ending_of
from indexer.sources import FoundPhoto, Source, found_url, has_photo_ending
from indexer.tar_source import TarSource

DEEPEST = 40  # folders in each other: a page may link to itself under ever longer addresses


class AddressSource(Source):
    """Every photo below an address, folder by folder, sorted. Of a web server's folder what its page links to.

    Nothing is asked of photos whose folder tells their sizes and times.
    """

    kind = "folder"

    def photos(self) -> Iterator[FoundPhoto]:
        """Yield the photos in the order of their addresses."""
        yield from looks_in_order(self._walk(self.path, self._rules, 0), is_unsaid, found_in_listing)

    def _walk(self, folder: str, rules: Rules, depth: int) -> "Iterator[FoundPhoto | tuple[str, RemoteFacts]]":
        try:
            rows = listing(f"{folder}/")
        except OSError as error:
            self._cannot_read(folder, shown_problem(folder, error))
            return
        if depth == DEEPEST:
            self._cannot_read(folder, f"lies in {DEEPEST} folders, so its pages may link to each other without end")
            return
        for place, facts in rows:
            name = place.rpartition("/")[2]
            if place in self.beside:
                continue
            if (kind := rules.kind_left_out(folder, name, is_folder=facts.is_folder)) is not None:
                self.leftovers.passed_over.note(kind, name if facts.is_folder else ending_of(name))
            elif facts.is_folder:
                yield from self._walk(place, rules, depth + 1)
            elif has_photo_ending(name):
                yield place, facts
            elif is_tar(name):
                yield from self._tar(place, rules)
            else:
                self.leftovers.passed_over.note_file(name, bytes)

    def _rules_of(self, folder: str) -> Rules:
        """Return what is left out anywhere below: files with patterns are not looked for elsewhere."""
        return self._rules

    def finds(self, path: str) -> bool:
        """Tell whether the walk comes to an address by itself."""
        name = path.rpartition("/")[2]
        return (has_photo_ending(name) or is_tar(name) or "." not in name) and self.left_out(path) is None

    def _tar(self, place: str, rules: Rules) -> Iterator[FoundPhoto]:
        tar = TarSource(place, rules)
        tar.leftovers, tar.tell = self.leftovers, self.tell
        try:
            yield from tar.photos()
        except SourceError as error:
            self._cannot_read(place, str(error))

    def _cannot_read(self, place: str, reason: str) -> None:
        self.leftovers.problems.append(Problem(storable(place), reason))
        self.leftovers.unread.append(storable(place))


def is_unsaid(found: "FoundPhoto | tuple[str, RemoteFacts]") -> bool:
    """Tell whether a server has to be asked: its listing says nothing of the photo."""
    return not isinstance(found, FoundPhoto) and found[1].mtime_ns is None and found[1].etag is None


def found_in_listing(found: "FoundPhoto | tuple[str, RemoteFacts]") -> FoundPhoto:
    """Return a photo with what its listing says of it, or else its server."""
    if isinstance(found, FoundPhoto):
        return found
    place, facts = found
    if is_unsaid(found):
        return found_url(place)
    return FoundPhoto(place, size_bytes=facts.size_bytes, mtime_ns=facts.mtime_ns, etag=facts.etag)


def sources_of_urls(
    urls: Sequence[str], patterns: tuple[Pattern, ...], *, may_be_gone: bool = False
) -> tuple[dict[str, Source], list[str]]:
    """Return the folders and tars among addresses, by their places, and the photos; * stands for any names.

    Raises: SourceError: nothing is at one of them, or it cannot be asked.
    """
    sources: dict[str, Source] = {}
    photos: list[str] = []
    for url in urls:
        for place in places_at(url):
            name = place.rstrip("/").rpartition("/")[2]
            rules = Rules(Patterns(place.rstrip("/"), patterns) if patterns else None)
            if is_any_tar(name):
                sources[place] = TarSource(place, rules)
            elif not place.endswith("/") and (has_photo_ending(name.partition("?")[0]) or not is_remote_folder(place)):
                photos.append(place)
            else:
                sources[place.rstrip("/")] = AddressSource(place, rules)
    if len(photos) == 1 and not sources and not may_be_gone:
        refuse_gone(photos[0])
    return sources, photos


def refuse_gone(url: str) -> None:
    """Refuse a photo at whose address nothing is, as a mistyped one. Raises: SourceError."""
    try:
        facts_at(url)
    except FileNotFoundError as error:
        raise SourceError(f"nothing is at {plain_url(url)}: name a folder of photos, photos or .tar files") from error
    except OSError:  # which is told of as the photo's
        return


def places_at(url: str) -> list[str]:
    """Return what an address means: itself, or what its pattern matches. Raises: SourceError: it matches nothing."""
    if "*" not in url or url.partition("://")[0] in WEB:
        return [url]
    try:
        found = matching(url)
    except OSError as error:
        raise SourceError(shown_problem(url, error)) from error
    if not found:
        raise SourceError(f"nothing is at {plain_url(url)}: name a folder of photos, photos or .tar files")
    return found


def is_remote_folder(url: str) -> bool:
    """Tell whether an address without a slash at its end is a folder: of a store it may be, of a web server never.

    Raises: SourceError: nothing is there, or nobody answers.
    """
    if url.partition("://")[0] in WEB:
        return False
    try:
        return facts_at(url, fresh=True).is_folder
    except OSError as error:
        raise SourceError(shown_problem(url, error)) from error
