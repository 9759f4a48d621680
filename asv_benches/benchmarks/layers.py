"""Layers of published networks by name: `network_kernel_channels_size`, with what sets them apart.

A row is an operator, the input's shape, the weight's shape and the settings. Sources: ResNet-50 (He et al. 2016),
VGG-16 (Simonyan and Zisserman 2015), MobileNet (Howard et al. 2017), ConvNeXt (Liu et al. 2022), DRN (Yu et al. 2017),
DeepLab (Chen et al. 2017), WaveNet (van den Oord et al. 2016), DCGAN (Radford et al. 2016), U-Net (Ronneberger et al.
2015), ESPCN (Shi et al. 2016), EDSR (Lim et al. 2017); the context module (Yu and Koltun 2016).
"""

from functools import partial
from math import prod

import numpy as np

LAYERS = {
    # conv
    "resnet50_3x3_64_56x56": ("Conv2d", (1, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    "resnet50_3x3_256_14x14": ("Conv2d", (1, 256, 14, 14), (256, 256, 3, 3), {"padding": 1}),
    "resnet50_3x3s2_128_56x56": ("Conv2d", (1, 128, 56, 56), (128, 128, 3, 3), {"padding": 1, "stride": 2}),
    "resnet50_7x7s2_3to64_224x224": ("Conv2d", (1, 3, 224, 224), (64, 3, 7, 7), {"padding": 3, "stride": 2}),
    "resnet50_1x1_64to256_56x56": ("Conv2d", (1, 64, 56, 56), (256, 64, 1, 1), {}),
    "resnet50_1x1_1024to256_14x14": ("Conv2d", (1, 1024, 14, 14), (256, 1024, 1, 1), {}),
    "vgg16_3x3_256_56x56": ("Conv2d", (1, 256, 56, 56), (256, 256, 3, 3), {"padding": 1}),
    "filter_31x31_1_512x512": ("Conv2d", (1, 1, 512, 512), (1, 1, 31, 31), {"padding": 15}),
    # depthwise
    "mobilenet_dw3x3_32_112x112": ("Conv2d", (1, 32, 112, 112), (32, 1, 3, 3), {"padding": 1, "groups": 32}),
    "mobilenet_dw3x3s2_64_112x112": (
        "Conv2d",
        (1, 64, 112, 112),
        (64, 1, 3, 3),
        {"padding": 1, "stride": 2, "groups": 64},
    ),
    "mobilenet_dw3x3_512_14x14": ("Conv2d", (1, 512, 14, 14), (512, 1, 3, 3), {"padding": 1, "groups": 512}),
    "convnext_dw7x7_96_56x56": ("Conv2d", (1, 96, 56, 56), (96, 1, 7, 7), {"padding": 3, "groups": 96}),
    # dilated
    "drn_3x3d2_512_28x28": ("Conv2d", (1, 512, 28, 28), (512, 512, 3, 3), {"padding": 2, "dilation": 2}),
    "context_3x3d4_64_64x64": ("Conv2d", (1, 64, 64, 64), (64, 64, 3, 3), {"padding": 4, "dilation": 4}),
    "deeplab_aspp_3x3d12_256_33x33": ("Conv2d", (1, 256, 33, 33), (256, 256, 3, 3), {"padding": 12, "dilation": 12}),
    "wavenet_2d64_64_4096": ("Conv1d", (1, 64, 4096), (64, 64, 2), {"dilation": 64}),
    # transposed
    "dcgan_4x4s2_256to128_16x16": (
        "ConvTranspose2d",
        (1, 256, 16, 16),
        (256, 128, 4, 4),
        {"stride": 2, "padding": 1},
    ),
    "dcgan_4x4s2_64to3_32x32": ("ConvTranspose2d", (1, 64, 32, 32), (64, 3, 4, 4), {"stride": 2, "padding": 1}),
    "unet_2x2s2_128to64_28x28": ("ConvTranspose2d", (1, 128, 28, 28), (128, 64, 2, 2), {"stride": 2}),
    # sub-pixel
    "espcn_3x3_32to27_90x120_r3": ("SubpixelConv2d", (1, 32, 90, 120), (27, 32, 3, 3), {"padding": 1}),
    # shuffles and pools: the factor, or the window
    "edsr_shuffle_64_96x96_r2": ("pixel_shuffle", (1, 256, 96, 96), None, {"upscale_factor": 2}),
    "espcn_shuffle_3_270x480_r3": ("pixel_shuffle", (1, 27, 270, 480), None, {"upscale_factor": 3}),
    "edsr_unshuffle_64_192x192_r2": ("pixel_unshuffle", (1, 64, 192, 192), None, {"downscale_factor": 2}),
    "resnet50_maxpool3x3s2_64_112x112": (
        "max_pool2d",
        (1, 64, 112, 112),
        None,
        {"kernel_size": 3, "stride": 2, "padding": 1},
    ),
    "vgg16_avgpool2x2_64_112x112": ("avg_pool2d", (1, 64, 112, 112), None, {"kernel_size": 2}),
}


def arrays(name, dtype=np.float32):
    """Input and weight of a layer, or None for the latter: normal deviates, the same at every call."""
    _operator, shape, kernel, _ = LAYERS[name]
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(dtype)
    return x, None if kernel is None else (rng.standard_normal(kernel) / prod(kernel[1:]) ** 0.5).astype(dtype)


def runner(name, dtype=np.float32, **options):
    """A function without arguments that computes the layer, its weights packed before. Raises if there is none such."""
    import fastconv

    operator, _, _, settings = LAYERS[name]
    x, w = arrays(name, dtype)
    if not hasattr(fastconv, operator):
        raise NotImplementedError(operator)
    if w is None:
        return partial(getattr(fastconv, operator), x, **settings)
    if operator == "SubpixelConv2d":
        layer = fastconv.SubpixelConv2d(w, None, int(name[-1]), **settings, **options)
    else:
        layer = getattr(fastconv, operator)(w, **settings, **options)
    y = layer(x)
    return partial(layer, x, out=y)


def function(name):
    """The same as a function that is handed the weights at every call."""
    import fastconv

    operator, _, _, settings = LAYERS[name]
    names = {"Conv1d": "conv1d", "Conv2d": "conv2d", "ConvTranspose2d": "conv_transpose2d"}
    x, w = arrays(name)
    return partial(getattr(fastconv, names[operator]), x, w, **settings)


def multiply_adds(name):
    """Multiply-adds of the definition, padding included; for shuffles and pools the entries of the output."""
    operator, shape, kernel, _settings = LAYERS[name]
    out = runner(name)().shape
    if kernel is None:
        return prod(out)
    if operator == "ConvTranspose2d":
        return prod(shape) * prod(kernel[1:])
    return prod(out[2:]) * out[0] * prod(kernel) // (int(name[-1]) ** 2 if operator == "SubpixelConv2d" else 1)
