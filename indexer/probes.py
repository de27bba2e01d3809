"""The texts by which the recall of an index is measured: searches such as people make.

Texts' vectors lie apart from photos' vectors, so an index that finds photos by photos may still lose them by texts.
"""

from aliens.settings import asset

PROBES_FILE = "probes.txt"


def probe_texts() -> list[str]:
    """Return the case study's 15 tags and 200 descriptions of hotel photos.

    Raises: AliensError: CV-Aliens runs outside a checkout.
    """
    lines = (asset("vocabularies") / PROBES_FILE).read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
