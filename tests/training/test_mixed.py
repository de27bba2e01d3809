"""What the head starts from."""

import timm
import torch

from training.backbone import NAME, WIDTH
from training.head import conse_head, mixed, pseudo_photos


def test_heads_count_alike_in_their_mean() -> None:
    chance = torch.Generator().manual_seed(1)
    one, other = (torch.randn(384, WIDTH, generator=chance) for _ in range(2))
    pictures = torch.rand(20, WIDTH, generator=chance)
    assert torch.allclose(mixed(one, other, pictures), mixed(one, other * 50, pictures), atol=1e-4)
    assert torch.allclose(mixed(one, one, pictures), one)


def test_conse_puts_a_class_near_its_name() -> None:
    torch.manual_seed(0)
    backbone = timm.create_model(NAME, pretrained=False).eval()
    names: dict[str, torch.Tensor] = {}

    def embed(texts: list[str]) -> torch.Tensor:
        for text in texts:
            names.setdefault(text, torch.nn.functional.normalize(torch.randn(384), dim=0))
        return torch.stack([names[text] for text in texts])

    with torch.no_grad():
        backbone.classifier.weight.mul_(40)  # an untrained classifier is sure of nothing
        pictures = torch.rand(8, WIDTH)
        head = conse_head(backbone, pictures, embed)
        bath = torch.nn.functional.normalize(pseudo_photos(backbone, pictures)[435] @ head.T, dim=0)
        assert float(bath @ embed(["a photo of a bathtub"])[0]) > 0.3
    assert not head.requires_grad
