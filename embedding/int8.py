"""A model calibrated to int8 on photos, and how far its vectors then lie from those of float32. Finds no photos."""

import hashlib
from pathlib import Path

import numpy as np

from base.arrays import Floats, Pixels, unit
from base.errors import EncoderError
from embedding.backends import refuse_for_int8, refuse_int8
from embedding.device import cpu_threads
from embedding.image_files import (
    FORMAT,
    INT8,
    LEAST_MEAN_COSINE,
    LEAST_RECALL,
    Drift,
    TowerRecord,
    finish_tower,
    partial_tower,
    sums_of,
)
from embedding.open_clip_encoder import OpenClipEncoder
from embedding.openvino_tower import OpenVinoTower, made_by, quantised, require_openvino, write_image_tower

BEST = 10  # photos of a prompt that are compared
HASH_DIGITS = 8


def refuse_calibration(name: str, *, device: str = "auto", backend: str = "auto") -> None:
    """Raise EncoderError where nothing can be calibrated: what it needs, in software and hardware, is not here.

    `device`, `backend`: that were asked for.
    """
    refuse_for_int8(device=device, backend=backend)
    require_openvino("calibrating to int8", "nncf")
    refuse_int8(f"{name}{INT8}")


def calibrated(
    encoder: OpenClipEncoder, calibration: Pixels, sample: Pixels, texts: Floats, towers: Path
) -> OpenClipEncoder:
    """Calibrate a model to int8, keep it in a folder of `towers` named by its new key, and have the encoder be it.

    Args:
        encoder: the model, on a processor in float32, by PyTorch.
        calibration: photos whose values say in which ranges the layers compute, uint8 (n, s, s, 3).
        sample: other photos, on which the drift is measured, (m, s, s, 3).
        texts: unit vectors of prompts, (t, d), whose best photos are compared.
        towers: where it is kept.

    Raises:
        EncoderError: it cannot be calibrated here, or its vectors lie too far from those of float32.
        OSError: the disk is full or cannot be written.
    """
    refuse_calibration(encoder.name)
    model = quantised(encoder.converted(), calibration)
    tower = OpenVinoTower(model, "int8", cpu_threads())
    n = encoder.batch_photos
    exact = np.concatenate([encoder.encode_images(sample[at : at + n]) for at in range(0, len(sample), n)])
    drift = drift_of(exact, unit(tower.features(sample)), texts, len(calibration))
    refuse_drift(encoder.name, drift)
    with partial_tower(towers) as partial:
        write_image_tower(model, partial)
        sums = sums_of(partial)
        key = calibrated_key(encoder.key, sums)
        record = TowerRecord(format=FORMAT, key=key, of=encoder.key, made_by=made_by(), sums=sums, drift=drift)
        finish_tower(partial, towers / key, record)
    encoder.become_int8(record, towers / key)
    return encoder


def calibrated_key(of: str, sums: dict[str, str]) -> str:
    """Return the key of a calibrated model: its digits are a hash over the model's own key and the calibrated files."""
    digest = hashlib.sha256("\n".join([of, *(f"{name} {sums[name]}" for name in sorted(sums))]).encode())
    return f"{of[: -HASH_DIGITS - 1]}-int8-{digest.hexdigest()[:HASH_DIGITS]}"


def drift_of(exact: Floats, rough: Floats, texts: Floats, calibrated_on: int) -> Drift:
    """Compare the vectors of photos, (m, d) of unit length each, by float32 and by int8; `texts`: see `calibrated`."""
    cosines = (exact * rough).sum(axis=1)
    best, found = (np.argsort(-(texts @ vectors.T), axis=1)[:, :BEST] for vectors in (exact, rough))
    shares = [len(np.intersect1d(one, other)) / len(one) for one, other in zip(best, found, strict=True)]
    return Drift(
        calibrated_on=calibrated_on,
        measured_on=len(exact),
        cosine_mean=float(cosines.mean()),
        cosine_least=float(cosines.min()),
        recall=float(np.mean(shares)),
        prompts=len(texts),
    )


def refuse_drift(name: str, drift: Drift) -> None:
    """Raise EncoderError where int8 would find other photos than float32 does."""
    if not drift.is_small:
        raise EncoderError(
            f"int8 is too rough for {name}: {drift}; asked for are a mean cosine of {LEAST_MEAN_COSINE} and a recall "
            f"of {LEAST_RECALL}. Nothing was changed: stay with the model as it is, in bfloat16; or try again once the "
            "library has more photos, of more kinds"
        )
