"""Exact figures: instructions of one call of a layer, counted by valgrind's callgrind, and its workspace.

A process counts many layers. It is run under callgrind with `--dump-before=getppid`: each call of getppid ends a dump
and sets the counters to zero, so that what lies between the two around a layer's call is that call alone. The counts
are the same to the digit on every run, on any machine that valgrind knows: one thread, AVX2 kernels, a fixed hash seed.
The second call of a layer is counted, when caches of shapes and plans are filled.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Eight, as many as a plot has lines; below some 40 million instructions each: callgrind runs a few million a second.
QUICK = (
    "resnet50_3x3_64_56x56",
    "resnet50_3x3s2_128_56x56",
    "resnet50_1x1_64to256_56x56",
    "mobilenet_dw3x3_512_14x14",
    "context_3x3d4_64_64x64",
    "dcgan_4x4s2_256to128_16x16",
    "espcn_shuffle_3_270x480_r3",
    "resnet50_maxpool3x3s2_64_112x112",
)
ALL = (
    *QUICK,
    "mobilenet_dw3x3_32_112x112",
    "resnet50_3x3_256_14x14",
    "wavenet_2d64_64_4096",
    "dcgan_4x4s2_64to3_32x32",
    "unet_2x2s2_128to64_28x28",
    "espcn_3x3_32to27_90x120_r3",
    "edsr_shuffle_64_96x96_r2",
    "edsr_unshuffle_64_192x192_r2",
    "vgg16_avgpool2x2_64_112x112",
)
ENVIRONMENT = {
    "FASTCONV_ISA": "avx2",
    "FASTCONV_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}


def count(names, path=None, python=sys.executable):
    """Return {layer: {"instructions": of its second call, "workspace": bytes of a thread, as the layer states them}}.

    Of the fastconv that `python` finds, or that lies at `path`. What states no workspace (a shuffle, say) has 0.

    Layers that this fastconv does not have are missing. Raises FileNotFoundError where there is no valgrind.
    """
    environment = {**os.environ, **ENVIRONMENT}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={folder}/count"]
        script = [python, str(Path(__file__).resolve()), *names]
        done = subprocess.run([*command, *script], env=environment, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise RuntimeError(f"counting failed:\n{done.stdout}\n{done.stderr[-2000:]}")
        have = json.loads(done.stdout.splitlines()[-1])
        # Dump 2i + 1 ends before the call of the i-th layer, dump 2i + 2 behind it.
        return {
            name: {"instructions": total(Path(folder) / f"count.{2 * i + 2}"), "workspace": have[name]}
            for i, name in enumerate(have)
        }


def total(dump):
    for line in dump.read_text().splitlines():
        if line.startswith("totals:"):
            return int(line.split()[1])
    raise ValueError(f"{dump} has no totals")


def workspace(run, x):
    """Bytes of workspace that the layer behind `run` states for x; 0 if it states none."""
    describe = getattr(run.func, "describe", None)
    return describe(x.shape).get("workspace_bytes", 0) if describe else 0


def main(names):
    """Run under callgrind: between two marks, the second call of each layer that exists."""
    from layers import arrays, runner

    have = {}
    for name in names:
        try:
            run = runner(name)
            run()
        except (AttributeError, NotImplementedError, TypeError):
            continue
        have[name] = workspace(run, arrays(name)[0])
        os.getppid()
        run()
        os.getppid()
    print(json.dumps(have))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    main(sys.argv[1:])
