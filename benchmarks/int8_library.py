"""Make a library whose model is calibrated to int8, for against_clip_retrieval.py: int8 is calibrated on photos.

python benchmarks/int8_library.py MODEL LIBRARY     # MODEL has random weights, so how far int8 drifts says nothing
"""

import argparse
from pathlib import Path

import aliens
from base.settings import asset
from embedding import image_files


def main() -> None:
    """Add the sample photos, calibrate on them, and take the result into use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="local-dir:FOLDER")
    parser.add_argument("library", type=Path)
    parser.add_argument("--photos", type=int, help="of the samples, at most")
    asked = parser.parse_args()
    image_files.LEAST_MEAN_COSINE, image_files.LEAST_RECALL = -1.0, 0.0
    with aliens.create(asked.library, asked.model) as library:
        library.add(*sorted((asset("aliens/samples") / "images").rglob("*.jpg"))[: asked.photos])
    with aliens.open(asked.library, precision="int8") as library:
        print(library.use(library.embed(asked.model).model))


if __name__ == "__main__":
    main()
