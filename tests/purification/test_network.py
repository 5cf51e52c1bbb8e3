"""How the network is called: precision, layout, compilation, and batches that fit the memory."""

import pytest
import torch

from lightning_modules.purification import DiffusionPurifier
from lightning_modules.purification.network import FittingBatches, NetworkCall


def names(count):
    return [f"item-{number}" for number in range(count)]


def out_of_memory():
    return torch.OutOfMemoryError("CUDA out of memory")


# Precision and layout


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_lower_precision_is_that_of_the_network_only(diffusion, images, precision):
    purifier, seen = DiffusionPurifier(diffusion, purify_steps=4, precision=precision), []
    hook = diffusion.denoiser.unet.conv_in.register_forward_hook(
        lambda *args: seen.append((args[1][0].dtype, args[2].dtype))
    )
    fast = purifier(images, names(9), observe=lambda t, x: seen.append(x.dtype))
    hook.remove()
    exact = DiffusionPurifier(diffusion, purify_steps=4)(images, names(9))
    assert set(seen) == {torch.float32, (torch.float32, getattr(torch, precision))}
    assert 0 < float((fast - exact).abs().max()) < 4 / 255
    assert float((fast - exact).abs().mean()) < 0.5 / 255


def test_channels_last_changes_results_by_rounding(diffusion, images):
    expected = DiffusionPurifier(diffusion, purify_steps=4)(images)
    purifier = DiffusionPurifier(diffusion, purify_steps=4, channels_last=True)
    assert diffusion.denoiser.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(purifier(images), expected, rtol=0, atol=1e-5)


def test_an_unknown_precision_is_named(diffusion):
    with pytest.raises(ValueError, match="precision='int8': expected one of float32, bfloat16, float16"):
        NetworkCall(diffusion.denoiser, "int8", False, False, None)


# Compilation


@pytest.fixture
def compiler(monkeypatch):
    """Counts graphs, and runs them as they are."""
    graphs = []

    def backend(graph, example_inputs):
        graphs.append(tuple(example_inputs[0].shape) if hasattr(example_inputs[0], "shape") else None)
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: real(function, backend=backend, **options))
    torch._dynamo.reset()
    yield graphs
    torch._dynamo.reset()


def test_one_graph_serves_all_timesteps_and_the_last_batch(compiler, diffusion, images):
    purifier = DiffusionPurifier(diffusion, purify_steps=5, batch_size=4, compile=True)
    compiled = purifier(images, names(9))  # batches of 4, 4, 1
    assert len(compiler) == 1
    purifier(images[:3], names(3))
    assert len(compiler) == 1
    expected = DiffusionPurifier(diffusion, purify_steps=5, batch_size=4)(images, names(9))
    torch.testing.assert_close(compiled, expected, rtol=0, atol=1e-5)


def test_filled_batches_and_means_over_the_batch_exclude_each_other(diffusion):
    with pytest.raises(ValueError, match="compile=True fills batches up"):
        DiffusionPurifier(diffusion, compile=True, reduction="batch_mean")


# Memory


def test_batches_are_halved_where_memory_does_not_suffice(diffusion, images):
    expected = DiffusionPurifier(diffusion, purify_steps=3)(images, names(9))
    purifier, sizes = DiffusionPurifier(diffusion, purify_steps=3, batch_size=64), []
    network = purifier._epsilon

    def small_memory(x, timesteps):
        sizes.append(len(x))
        if len(x) > 3:
            raise out_of_memory()
        return network(x, timesteps)

    purifier._epsilon = small_memory
    torch.testing.assert_close(purifier(images, names(9)), expected, rtol=0, atol=1e-5)
    assert sizes == [9, 5, 3, 3, 3, 3, 3, 3, 3, 3, 3]
    sizes.clear()
    purifier(images, names(9))
    assert max(sizes) == 3  # what fits is remembered


def test_batches_cover_all_rows_once():
    batches, rows = FittingBatches(8), []

    def work(part):
        if part.stop - part.start > 3 and part.start > 5:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        rows.extend(range(part.start, part.stop))
        return torch.empty(0)

    list(batches.run(21, work))
    assert rows == list(range(21))


def test_one_image_that_does_not_fit_and_other_errors_are_raised():
    def full(part):
        raise out_of_memory()

    def broken(part):
        raise RuntimeError("size mismatch")

    with pytest.raises(torch.OutOfMemoryError):
        list(FittingBatches(4).run(4, full))
    with pytest.raises(RuntimeError, match="size mismatch"):
        list(FittingBatches(4).run(4, broken))
    with pytest.raises(ValueError, match="batch_size=0: expected at least 1"):
        FittingBatches(0)
