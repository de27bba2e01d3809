"""What one would write oneself to embed a folder of photos: open_clip, its transform, a DataLoader, numpy.save.

python benchmarks/plain_loop.py MODEL FOLDER OUT.npy [--precision float32]     # for against_clip_retrieval.py
"""

import argparse
import os
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

BATCH = 64


class Photos(Dataset):
    """The photos of a folder, as the model wants them."""

    def __init__(self, folder, transform):
        self.paths, self.transform = sorted(folder.rglob("*.jpg")), transform

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, at):
        return self.transform(Image.open(self.paths[at]))


def main():
    """Embed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="local-dir:FOLDER, or another name of open_clip's")
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, _, transform = open_clip.create_model_and_transforms(asked.model, device=device)
    kind = getattr(torch, asked.precision)
    model.eval().to(kind)
    photos = DataLoader(Photos(asked.folder, transform), BATCH, num_workers=os.cpu_count(), pin_memory=device == "cuda")
    with torch.inference_mode():
        parts = [
            model.encode_image(batch.to(device, kind, non_blocking=True), normalize=True).float().cpu().numpy()
            for batch in photos
        ]
    np.save(asked.out, np.concatenate(parts))


if __name__ == "__main__":
    main()
