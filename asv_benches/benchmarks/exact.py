"""Figures that are the same on every run: instructions and workspace."""

import shutil

from . import counted
from .layers import arrays, multiply_adds, runner


class Instructions:
    """Instructions of a call of one thread with AVX2 kernels, over the definition's multiply-adds.

    A shuffle's and a pooling's are over the entries of the output. Counted by valgrind's callgrind, to the digit.
    """

    params = (list(counted.QUICK),)
    param_names = ("layer",)
    timeout = 600

    def setup_cache(self):
        if shutil.which("valgrind") is None:
            return {}
        return counted.count(counted.QUICK)

    def track_instructions(self, counts, name):
        if name not in counts:
            raise NotImplementedError("not counted")
        return counts[name]["instructions"] / multiply_adds(name)

    track_instructions.unit = "instructions per multiply-add"
    track_instructions.pretty_name = "Instructions per multiply-add (per output: shuffles, pools)"
    track_instructions.version = "1"


class Workspace:
    """Bytes of workspace beyond input, output and weights, of one thread, as `layer.describe(shape)` states them."""

    params = (
        [
            "resnet50_3x3_64_56x56",
            "resnet50_3x3s2_128_56x56",
            "vgg16_3x3_256_56x56",
            "mobilenet_dw3x3_512_14x14",
            "drn_3x3d2_512_28x28",
            "dcgan_4x4s2_256to128_16x16",
            "espcn_3x3_32to27_90x120_r3",
        ],
    )
    param_names = ("layer",)

    def track_workspace(self, name):
        stated = counted.workspace(runner(name), arrays(name)[0])
        if not stated:
            raise NotImplementedError("no workspace stated")
        return stated

    track_workspace.unit = "bytes"
    track_workspace.pretty_name = "Workspace of one thread"
    track_workspace.version = "1"
