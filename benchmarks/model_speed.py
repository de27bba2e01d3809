"""How far off the photos/s are that `aliens models` estimates: against the encoder itself, in turns, on this device.

Of starter and of ViT-B-32 with random weights; the time that photos take to be decoded is left out of both.

    python benchmarks/model_speed.py [--rounds 7] [--model starter] [--model vit-b-32]
"""

import argparse
import statistics
import time

import numpy as np
from embed import encoder_of
from records import figure, recorded

from analysis.model_estimates import Costs
from embedding.device_speed import device_speed
from embedding.known_models import known_models
from embedding.open_clip_encoder import OpenClipEncoder

KNOWN = {"starter": "starter", "vit-b-32": "ViT-B-32/openai"}
LEAST_S = 0.5  # of encoding, a round


def encoded_per_s(encoder: OpenClipEncoder) -> float:
    """Return how many photos a second are encoded, in batches as photos are embedded."""
    side = encoder.preprocessing.size_px
    batch = np.zeros((encoder.batch_photos, side, side, 3), np.uint8)
    start, photos = time.perf_counter(), 0
    while time.perf_counter() - start < LEAST_S:
        encoder.encode_images(batch)
        photos += len(batch)
    return photos / (time.perf_counter() - start)


@recorded
def main() -> None:
    """Print, of each model, what is estimated and what is measured, and the ratio of both, medians over rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", action="append", choices=sorted(KNOWN))
    asked = parser.parse_args()
    known = {model.name: model for model in known_models()}
    for name in asked.model or ["starter", "vit-b-32"]:
        encoder = encoder_of(name)
        encoded_per_s(encoder)
        estimated, measured = [], []
        for _ in range(asked.rounds):
            estimated.append(Costs(device_speed(), None, None).photos_per_s(known[KNOWN[name]]) or 0)
            measured.append(encoded_per_s(encoder))
        ratios = [one / other for one, other in zip(estimated, measured, strict=True)]
        print(
            f"{name}: {statistics.median(estimated):.1f} photos/s estimated, {statistics.median(measured):.1f} "
            f"measured, ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
        figure(f"estimated, {name}", statistics.median(estimated), "photos/s")
        figure(f"measured, {name}", statistics.median(measured), "photos/s")
        figure(f"estimated / measured, {name}", statistics.median(ratios), "times")


if __name__ == "__main__":
    main()
