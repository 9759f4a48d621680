"""Receptive fields: which inputs an output reads is seen by pushing one image for each input through the reference."""

from fractions import Fraction

import numpy as np
import pytest
import reference
from hypothesis import example, given
from hypothesis import strategies as st

from fastconv.geometry import Conv, ConvTranspose, PixelShuffle, PixelUnshuffle, Pool, Resize, receptive_field

CONTEXT = (1, 1, 2, 4, 8, 16, 1)  # dilations of Yu and Koltun's basic context module; a 1x1 layer follows


def apply(layer, x):
    """One layer of the reference with all weights 1 on the last axis of x (N, 1, I): sums of what is read, above 0."""
    if isinstance(layer, Conv):
        return reference.conv(x, np.ones((1, 1, layer.kernel)), None, layer.stride, layer.padding, layer.dilation)
    if isinstance(layer, ConvTranspose):
        extra = layer.output_padding
        weight = np.ones((1, 1, layer.kernel))
        return reference.conv_transpose(x, weight, None, layer.stride, layer.padding, extra, 1, layer.dilation)
    if isinstance(layer, Pool):
        stride = layer.stride or layer.kernel
        pads = (layer.padding, layer.padding)
        windows = reference.pool_windows(x.shape[-1], layer.kernel, stride, *pads, layer.dilation, layer.ceil_mode)
        return reference.max_pool(x, [windows])[0]
    if isinstance(layer, PixelShuffle):
        return reference.pixel_shuffle(np.repeat(x, layer.upscale_factor, axis=1), (layer.upscale_factor,))
    if isinstance(layer, PixelUnshuffle):
        return reference.pixel_unshuffle(x, (layer.downscale_factor,)).sum(axis=1, keepdims=True)
    return resize(layer, x)


def resize(layer, x):
    """By places in the input as real numbers: exact for the scales here, whose sums are far from rounding."""
    size = x.shape[-1]
    outputs = np.arange(int(size * layer.scale))
    if layer.mode == "nearest":
        places = [int(o / layer.scale) for o in map(int, outputs)]
        return x[..., places]
    places = (outputs + 0.5) / float(layer.scale) - 0.5
    interpolated = [np.interp(places, np.arange(size), image[0]) for image in x]
    return np.where(np.array(interpolated)[:, None] > 1e-9, 1.0, 0.0)


def inputs_read(layers, size):
    """Row n marks the outputs that input n reaches."""
    x = np.eye(size)[:, None]
    for layer in layers:
        x = (apply(layer, x) > 0).astype(float)
    return x[:, 0] > 0


SMALL = st.integers(1, 4)
LAYER = st.one_of(
    st.builds(Conv, st.integers(1, 5), st.integers(1, 3), st.integers(0, 4), SMALL),
    st.builds(ConvTranspose, st.integers(1, 5), SMALL, st.integers(0, 1), dilation=st.integers(1, 3)),
    st.builds(lambda kernel, half, *rest: Pool(kernel, half, kernel // 2, *rest), SMALL, SMALL, SMALL, st.booleans()),
    st.builds(PixelShuffle, st.integers(1, 3)),
    st.builds(PixelUnshuffle, st.integers(1, 2)),
    st.builds(Resize, st.sampled_from([1, 2, 3, Fraction(1, 2), 1.5]), st.sampled_from(["nearest", "bilinear"])),
)


@given(layers=st.lists(LAYER, min_size=1, max_size=3))
@example([ConvTranspose(1, 3), Conv(8)])  # a kernel over several periods, at whose ends nothing is read
@example([ConvTranspose(3, 3, dilation=2), Conv(20)])  # ... or an input before that of the output to the left
@example([PixelShuffle(2), Conv(3, 3), ConvTranspose(3, 2)])  # periods that are no multiples of a stride
def test_region_is_what_an_output_reads(layers):
    """Of all outputs so far inside that no border comes into it, for one period of them and more."""
    field = receptive_field(layers, ndim=1)[-1]
    jump, margin = field.jump[0], 2 * field.size[0] + 40
    size = int(2 * margin + 60 * max(1, jump)) // 32 * 32  # a multiple of what is unshuffled
    reached = inputs_read(layers, size)
    seen = 0
    for output in range(reached.shape[1]):
        region = field.region(output)[0]
        assert len(region) <= field.size[0]
        center = output * jump
        if not margin <= center <= size - margin:
            continue
        read = np.flatnonzero(reached[:, output])
        assert (read.min(), read.max()) == (region[0], region[-1]) if len(region) else not read.size
        seen += 1
    assert seen


@given(layers=st.lists(LAYER, min_size=1, max_size=4))
def test_size_jump_and_offset_sum_up_the_regions(layers):
    field = receptive_field(layers, ndim=1)[-1]
    regions = [region for output in range(300) if (region := field.region(output)[0])]
    assert field.size[0] == max(map(len, regions), default=0)
    assert field.offset[0] == min((region[0] for region in regions), default=0)
    period = Fraction(field.jump[0]).denominator
    for output in range(0, 4):
        here, later = field.region(output * period)[0], field.region(output * period + 600 * period)[0]
        if here:
            assert later[0] - here[0] == 600 * period * field.jump[0]


@given(layers=st.lists(LAYER, min_size=1, max_size=3), size=st.integers(1, 60))
def test_output_size_is_that_of_the_reference(layers, size):
    x = np.ones((1, 1, size))
    try:
        fields = receptive_field(layers, size, ndim=1)
    except ValueError as error:
        assert "layer" in str(error)  # something does not fit: the reference has no rule for that
        return
    for layer, field in zip(layers, fields, strict=True):
        x = apply(layer, x)
        assert field.output_size == x.shape[2:]


@given(
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    groups=st.integers(1, 3),
    channels=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    transposed=st.booleans(),
)
def test_parameters_and_multiply_adds_count_products(kernel, stride, padding, dilation, groups, channels, transposed):
    """Every product is one of 1 and 1: without padding the sum of all outputs is the number of them."""
    inputs, outputs, size = channels[0] * groups, channels[1] * groups, (9, 8)
    x = np.ones((1, inputs, *size))
    if transposed:
        layer = ConvTranspose(kernel, stride, 0, 0, groups, dilation, channels=outputs)
        weight = np.ones((inputs, outputs // groups, kernel, kernel))
        y = reference.conv_transpose(x, weight, None, stride, 0, 0, groups, dilation)
    else:
        layer = Conv(kernel, stride, padding, dilation, groups, outputs)
        weight = np.ones((outputs, inputs // groups, kernel, kernel))
        x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)], constant_values=1)
        y = reference.conv(x, weight, None, stride, 0, dilation, groups)
    field = receptive_field([layer], size, inputs)[0]
    assert field.parameters == weight.size + outputs
    assert field.multiply_adds == y.sum()
    assert field.channels == outputs


def test_one_dilated_layer_sees_as_far_as_a_larger_kernel():
    """5x5 from one 3x3 at dilation 2."""
    field = receptive_field([Conv(3, padding=2, dilation=2)])[0]
    assert (field.size, field.jump, field.offset) == ((5, 5), (1, 1), (-2, -2))
    assert field.region(7) == (range(5, 10), range(5, 10))


def test_context_module():
    """Yu and Koltun, "Multi-scale context aggregation by dilated convolutions", arXiv:1511.07122, table 1."""
    fields = receptive_field([*(Conv(3, dilation=d, channels=8) for d in CONTEXT), Conv(1)], in_channels=8)
    assert [field.size for field in fields] == [(r, r) for r in (3, 5, 9, 17, 33, 65, 67, 67)]
    assert sum(field.parameters for field in fields[:-1]) == 7 * (9 * 8 * 8 + 8)  # linear in the layers


def test_exponential_growth_with_linear_parameters():
    """The same paper, section 2: F(i+1) is of size 2^(i+2) - 1."""
    fields = receptive_field([Conv(3, dilation=2**i) for i in range(20)], ndim=1)
    assert [field.size[0] for field in fields] == [2 ** (i + 2) - 1 for i in range(20)]


def vgg16():
    layers = []
    for channels, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        layers += [Conv(3, padding="same", channels=channels)] * count + [Pool(2)]
    return layers


def resnet50(stride_first, pool_padding):
    """Along the convolutions of each unit; `stride_first`: a stage goes down in its first unit, or in the last."""
    layers = [Conv(7, 2, 3), Pool(3, 2, pool_padding)]
    for stage, units in enumerate((3, 4, 6, 3)):
        for unit in range(units):
            last = not stride_first and stage < 3 and unit == units - 1
            first = stride_first and stage > 0 and unit == 0
            layers += [Conv(1), Conv(3, 2 if first or last else 1, 1), Conv(1)]
    return layers


def test_vgg16():
    """Receptive field 212, stride 32, padding 90, 30.71 billion operations: the table of Araujo et al., Distill 2019.

    (As their library google-research/receptive_field prints it; an operation is an addition or a multiplication, with
    those of the biases.) The parameters of the convolutions are counted by hand.
    """
    fields = receptive_field(vgg16(), (224, 224), in_channels=3)
    assert (fields[-1].size, fields[-1].jump, fields[-1].offset) == ((212, 212), (32, 32), (-90, -90))
    assert (fields[-1].output_size, fields[-1].channels) == ((7, 7), 512)
    assert sum(field.parameters for field in fields) == 14_714_688
    biases = sum(f.channels * f.output_size[0] * f.output_size[1] for f in fields if f.parameters)
    assert round((2 * sum(field.multiply_adds for field in fields) + biases) / 1e9, 2) == 30.71


def test_resnet50():
    """Receptive field 483, stride 32, padding 239: the same table, whose network goes down in each stage's last unit.

    Its pooling has "same" padding, at the end alone on even sizes. With the stride in a stage's first 3x3 convolution,
    as in torchvision, it is 427 by the same formula: 11 + 3 * 8 + (8 + 3 * 16) + (16 + 5 * 32) + (32 + 2 * 64).
    """
    fields = receptive_field(resnet50(False, ((0, 1),)))
    assert (fields[-1].size, fields[-1].jump, fields[-1].offset) == ((483, 483), (32, 32), (-239, -239))
    assert receptive_field(resnet50(True, 1))[-1].size == (427, 427)


def test_axes_of_their_own():
    field = receptive_field([Conv((3, 5), (1, 2), ((1, 0), (0, 2)), (2, 1)), PixelShuffle((1, 2))], (9, 8), 6)[-1]
    assert (field.size, field.jump, field.offset) == ((5, 5), (1, 1), (-1, 0))
    assert (field.output_size, field.channels, field.parameters) == ((6, 6), 3, 0)
    assert len(receptive_field([Conv(3)], (5, 5, 5))[0].size) == 3


def test_same_padding_with_a_stride_needs_the_size():
    with pytest.raises(ValueError, match=r"layer 0.*input_size"):
        receptive_field([Conv(3, 2, "same")])
    assert receptive_field([Conv(3, 2, "same")], 8)[0].offset == (0, 0)
    assert receptive_field([Conv(3, 2, "same")], 7)[0].offset == (-1, -1)
    assert receptive_field([Conv(4, 1, "same")])[0].offset == (-1, -1)
    assert receptive_field([Conv(4, 1, "same_lower")])[0].offset == (-2, -2)


def test_outputs_that_read_nothing():
    field = receptive_field([ConvTranspose(1, 3)], ndim=1)[0]
    assert [len(field.region(output)[0]) for output in range(6)] == [1, 0, 0, 1, 0, 0]
    nothing = receptive_field([ConvTranspose(1, 2), Conv(1, 2, 1)], ndim=1)[-1]
    assert (nothing.size, nothing.offset, nothing.region(3)) == ((0,), (0,), (range(0, 0),))


def test_as_many_outputs_differ_as_the_way_up_is_ahead_of_the_way_down():
    there_and_back = receptive_field([PixelShuffle(64), PixelUnshuffle(64)] * 5)[-1]
    assert (there_and_back.size, there_and_back.jump) == ((1, 1), (1, 1))


def test_without_layers_or_sizes():
    assert receptive_field([]) == ()
    field = receptive_field([Conv(3, channels=4)])[0]
    assert (field.output_size, field.channels, field.parameters, field.multiply_adds) == (None,) * 4


@pytest.mark.parametrize(
    ("layers", "arguments", "error", "words"),
    [
        ([Conv(3), Conv(3, stride=0)], {}, ValueError, ("layer 1", "stride", "0")),
        ([Conv(3.0)], {}, TypeError, ("layer 0", "kernel", "3.0")),
        ([Conv((3, 3, 3))], {}, ValueError, ("kernel", "3 entries")),
        ([Conv(2**62, dilation=4)], {}, ValueError, ("spans",)),
        ([Pool(2**62, dilation=4)], {}, ValueError, ("spans",)),
        ([ConvTranspose(2**40)], {}, ValueError, ("kernel", str(2**40))),
        ([ConvTranspose(2, 2**40)], {}, ValueError, ("4096",)),
        ([PixelShuffle(2**40)], {}, ValueError, ("4096",)),
        ([PixelShuffle(64), PixelShuffle(65)], {}, ValueError, ("layer 1", "4096")),
        ([Resize(0.1)], {}, ValueError, ("4096",)),
        ([Resize(0)], {}, ValueError, ("scale", "0")),
        ([Resize(float("nan"))], {}, ValueError, ("scale", "nan")),
        ([Resize("2")], {}, TypeError, ("scale", "'2'")),
        ([Resize(2, "cubic")], {}, ValueError, ("mode", "cubic")),
        ([Resize(0.5)], {"input_size": 1}, ValueError, ("scale", "0.5")),
        ([Pool(3, padding=2)], {}, ValueError, ("padding", "half")),
        ([3], {}, TypeError, ("layer 0", "Conv")),
        ([Conv(5)], {"input_size": 4}, ValueError, ("layer 0", "kernel", "5")),
        ([Conv(3, groups=2)], {"in_channels": 3}, ValueError, ("groups=2", "3")),
        ([PixelShuffle(2)], {"in_channels": 6}, ValueError, ("multiple of 4", "6")),
        ([PixelUnshuffle(2)], {"input_size": 5}, ValueError, ("downscale_factor", "5")),
        ([Conv(3)], {"in_channels": 0}, ValueError, ("in_channels", "0")),
        ([Conv(3)], {"ndim": 0}, ValueError, ("ndim", "0")),
        ([Conv(3)], {"input_size": (4, 4), "ndim": 3}, ValueError, ("input_size", "2 entries")),
    ],
)
def test_bad_arguments(layers, arguments, error, words):
    with pytest.raises(error) as caught:
        receptive_field(layers, **arguments)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_region_checks_the_position():
    field = receptive_field([Conv(3)])[0]
    with pytest.raises(ValueError, match="output"):
        field.region(-1)
    with pytest.raises(ValueError, match="output"):
        field.region((1, 2, 3))
