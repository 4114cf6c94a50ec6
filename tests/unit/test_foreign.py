"""Models of users' own, of architectures that spandrel knows, with random weights: recognised, run, tiled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from architectures import MADE, compact, needs_spandrel, save
from samovar.card import ModelCard
from samovar.networks import Network, foreign
from samovar.networks.foreign import Description
from samovar.worker.enlarge import enlarge
from samovar.worker.passage import Passage
from samovar_link.errors import ModelUnavailable

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:torch.meshgrid"),
    needs_spandrel,
]


@pytest.fixture(scope="module", params=MADE)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    make, name, scale = MADE[request.param]
    return save(make(), tmp_path_factory.mktemp("models") / f"{request.param}.pth"), name, scale


def card(found: Description) -> ModelCard:
    return ModelCard("own/x", "x", (), "foreign", {}, found.scale, found.context, "", "", multiple=found.multiple)


def through(network: Network, found: Description, image: torch.Tensor, side: int) -> torch.Tensor:
    with torch.inference_mode():
        return enlarge(image, Passage(network, card(found), side=side))[0]


def test_a_file_is_recognised_and_tiles_of_it_equal_the_whole(case: tuple[Path, str, int]) -> None:
    path, name, scale = case
    found = foreign.describe(path)
    assert (found.architecture, found.scale, found.channels) == (name, scale, 3)
    assert found.parameters > 1000 and found.purpose == ("SR" if scale > 1 else "Restoration")
    network = foreign.open_file(path)
    image = torch.rand(1, 3, 140, 75, generator=torch.Generator().manual_seed(3))
    whole, tiled = (through(network, found, image, side) for side in (256, 64))
    assert whole.shape == (1, 3, 140 * scale, 75 * scale)
    assert (whole - tiled).abs().max() <= 0.25 / 255


def test_safetensors_serve_as_well(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(compact().state_dict(), tmp_path / "model.safetensors")
    assert foreign.describe(tmp_path / "model.safetensors").architecture == "RealESRGAN Compact"


def test_a_gray_network_takes_each_colour_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "gray.pth"
    torch.save(compact(channels=1).state_dict(), path)
    found, network = foreign.describe(path), foreign.open_file(path)
    image = torch.rand(1, 3, 20, 20)
    result = through(network, found, image, 64)
    assert torch.equal(through(network, found, image.flip(1), 64), result.flip(1))


def test_weights_of_nothing_that_is_known(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 4).state_dict(), tmp_path / "model.pth")
    with pytest.raises(ModelUnavailable, match=r"of an architecture that is not known here \(.*ESRGAN.*SwinIR.* are\)"):
        foreign.describe(tmp_path / "model.pth")


def test_weights_that_do_not_fit_what_they_look_like(tmp_path: Path) -> None:
    weights = compact().state_dict()
    weights["body.2.weight"] = weights["body.2.weight"][:, :5].clone()
    torch.save(weights, tmp_path / "model.pth")
    with pytest.raises(ModelUnavailable, match="do not fit the architecture they look like"):
        foreign.describe(tmp_path / "model.pth")
