"""How far a library's tags can be trusted: what the model cannot tell apart from nonsense."""

import numpy as np

from embedding.encoder import Encoder
from embedding.segments import Vectors
from search.tags.calibration import Calibration, Method

NOISE_PHOTOS = 50_000  # a spread over so many, evenly taken, errs by 0.3 %
NONSENSE = [
    f"a {word}"
    for line in (
        "flurb dax wug blicket toma zorp gleeb fendle mib snorf quim tarkle plonch vebber drim lozzit kwil bansop yurm",
        "crell stibe huffle jorvin pelk ganto smick trobe vunt zibbet wosh floam grint skerf murn bleth corvo yast",
        "frain perrim lurg zeft obble rindo sploot tivver umbrick vasp wendle xano yibble zundle clirp drovel eftin",
        "bropp nacket plim quorf shreeb tunkle",
    )
    for word in line.split()
]


def noise_of(vectors: Vectors, encoder: Encoder) -> float:
    """Return by how much the cosines with words that mean nothing spread over a library: the median of the words."""
    cosines = vectors.sample(NOISE_PHOTOS) @ encoder.encode_texts(NONSENSE).T  # (n, words)
    return float(np.median(cosines.std(axis=0)))


RIGHT: dict[Method, str] = {  # of the tags that a method decided on the sample hotels: benchmarks/tag_quality.py
    "signal": "about 6 in 10 tags were right, of the sure ones 7 in 10",
    "calibrated": "about 5 in 10 tags were right",
    "uncalibrated": "about 4 in 10 tags were right",
    "softmax": "about 5 in 10 tags were right",
}


def trust_in_words(calibration: Calibration) -> str:
    """Return how far to trust tags, in one sentence; nothing where people's labels taught them."""
    if calibration.active_links:
        return ""
    return (
        f"how far to trust these tags: on our sample hotels {RIGHT[calibration.method]}; in your photos it may be "
        "fewer. Say of twenty photos what they show (`aliens tags set PHOTO_ID TAG` and `aliens tags unset`), then run "
        "`aliens tag --calibrate labels`: that helps more than anything"
    )
