"""Builds the one extension module, fastconv._core: Cython loops and one C unit per instruction set.

The C units open their instruction set by themselves (include/fastconv/isa.h), so every file is compiled with the same
portable flags and the wheel runs on any CPU of its architecture. FASTCONV_WERROR=1 turns warnings in our C into errors;
FASTCONV_SANITIZE=address,undefined builds in the compiler's checks of memory and arithmetic, FASTCONV_COVERAGE=1 its
counters of lines, and FASTCONV_EMULATE=1 makes the AVX-512 unit one for CPUs that have only AVX2; .ci/sanitize uses the
first, .ci/avx512 the last.
"""

import gzip
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent
HEADERS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "include").rglob("*") if p.suffix in {".h", ".def"})
UNITS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "fastconv" / "_isa").glob("*.c"))
LOOPS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "fastconv" / "_loops").glob("*.pxi"))

# ISO C switches contraction off in one compiler and not in the other: say it. Without -fno-math-errno and the like,
# results are what the source says; -ffast-math is never used.
FLAGS = ["-std=c11", "-D_DEFAULT_SOURCE", "-O3", "-g0", "-ffp-contract=off", "-fvisibility=hidden", "-pthread"]
CHECKS = []
if sanitizers := os.environ.get("FASTCONV_SANITIZE"):
    CHECKS += [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1", "-fno-wrapv"]
COVERAGE = os.environ.get("FASTCONV_COVERAGE") == "1"
if COVERAGE:
    CHECKS += ["--coverage", "-O1"]
if os.environ.get("FASTCONV_EMULATE") == "1":
    CHECKS += ["-DFC_EMULATE", "-mavx2", "-mfma", "-O1"]
# Clang says where it unrolled no loop: where a kernel is not called with constants, which is no fault.
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-Wno-pass-failed"]


class BuildUnits(build_ext):
    """Compiles the units beside each other, and our own C strictly on request; Cython's output is not ours to clean."""

    def build_extension(self, ext):
        compile_one, compile_in_turn = self.compiler._compile, self.compiler.compile

        def compile_strictly(obj, src, suffix, cc_args, extra, pp_opts):
            strict = WARNINGS if "_isa" in Path(src).parts else []
            compile_one(obj, src, suffix, cc_args, [*extra, *strict], pp_opts)

        def compile_together(sources, **options):
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compile_in_turn([source], **options), sources)
                return [path for paths in objects for path in paths]

        if os.environ.get("FASTCONV_WERROR") == "1":
            self.compiler._compile = compile_strictly
        self.compiler.compile = compile_together
        super().build_extension(ext)


class ReproducibleSource(sdist):
    """The same bytes from the same files: in order, with one date, owned by nobody."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        if format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)
        date = int(os.environ.get("SOURCE_DATE_EPOCH", 315532800))  # 1980, the first date of zip files

        def nobody(member):
            member.mtime, member.uid, member.gid, member.uname, member.gname = date, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            return member

        folder, name = Path(base_dir), f"{base_name}.tar.gz"
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        with gzip.GzipFile(name, "wb", mtime=date) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
            for path in sorted([folder, *folder.rglob("*")]):
                archive.add(path, recursive=False, filter=nobody)
        return name


core = Extension(
    "fastconv._core",
    ["fastconv/_core.pyx", *UNITS],
    include_dirs=["include"],
    depends=[*HEADERS, "fastconv/_kernels.pxd", *LOOPS],
    extra_compile_args=[*FLAGS, *CHECKS],
    extra_link_args=["-pthread", *CHECKS],
    define_macros=[("FC_BUILD_FLAGS", '"' + " ".join([*FLAGS, *CHECKS]) + '"')],
)

setup(
    ext_modules=cythonize([core], compiler_directives={"language_level": 3}, emit_linenums=COVERAGE),
    cmdclass={"build_ext": BuildUnits, "sdist": ReproducibleSource},
)
