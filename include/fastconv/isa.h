/* What every C unit of one instruction set shares: its name, its target, and how names are spelled.
 *
 * A unit in fastconv/_isa defines FC_ISA (baseline, avx2, avx512), opens FC_TARGET_BEGIN, includes kernels/all_*.h once
 * per element type, and closes FC_TARGET_END. Branch on FC_ISA_AVX2 and FC_ISA_AVX512 only: inside Clang's target
 * attribute __AVX2__ is not defined.
 */
#ifndef FASTCONV_ISA_H
#define FASTCONV_ISA_H

#define FC_PASTE_(a, b, c, d, e) a##b##c##d##e
#define FC_PASTE(a, b, c, d, e) FC_PASTE_(a, b, c, d, e)

/* fc_f32_gemm__avx2: the name of a kernel is its address (dtype, family, instruction set). */
#define FC_KERNEL_NAME_(dtype, family, isa) fc_##dtype##_##family##__##isa
#define FC_KERNEL_NAME(dtype, family, isa) FC_KERNEL_NAME_(dtype, family, isa)
#define FC_NAME(family) FC_KERNEL_NAME(FC_DTYPE, family, FC_ISA)

/* v_fma__f32_avx2: words and local helpers carry both as well, or the linker could keep the AVX-512 copy of a shared
 * inline function and run it on a CPU without AVX-512. */
#define FC_WORD(name) FC_PASTE(name##__, FC_DTYPE, _, FC_ISA, )

#define FC_INLINE static inline __attribute__((always_inline))

/* Brings the cache line of an address into L1; any address will do, a bad one does nothing. */
#define FC_PREFETCH(address) __builtin_prefetch(address, 0, 3)
#define FC_LINE 64 /* bytes */

/* With FC_EMULATE the AVX-512 unit is portable C on vectors as wide, for .ci/avx512 on CPUs that have only AVX2. */
#if defined(FC_EMULATE)
#define FC_CPU_HAS(feature) 1
#else
#define FC_CPU_HAS(feature) __builtin_cpu_supports(feature)
#endif

/* From one row to the next. GCC would keep a pointer to each of 16 rows, on the stack: squares took three times as long
 * to transpose. */
#define FC_NEXT_ROW(pointer, step)                                                                                     \
    do {                                                                                                               \
        (pointer) += (step);                                                                                           \
        __asm__("" : "+r"(pointer));                                                                                   \
    } while (0)

/* Arrays of vectors live in registers only when every loop over them is unrolled completely; FC_UNROLL_BY takes some
 * steps at a time of a loop that is as long as its data. */
#if defined(__clang__)
#define FC_UNROLL _Pragma("clang loop unroll(full)")
#define FC_PRAGMA(text) _Pragma(#text)
#define FC_UNROLL_BY(n) FC_PRAGMA(clang loop unroll_count(n))
#define FC_TARGET_BEGIN(features)                                                                                      \
    FC_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define FC_TARGET_END _Pragma("clang attribute pop")
#else
#define FC_UNROLL _Pragma("GCC unroll 32")
#define FC_PRAGMA(text) _Pragma(#text)
#define FC_UNROLL_BY(n) FC_PRAGMA(GCC unroll n)
#define FC_TARGET_BEGIN(features) FC_PRAGMA(GCC push_options) FC_PRAGMA(GCC target(features))
#define FC_TARGET_END _Pragma("GCC pop_options")
#endif

#if defined(FC_EMULATE) /* all is compiled for AVX2 then */
#undef FC_TARGET_BEGIN
#undef FC_TARGET_END
#define FC_TARGET_BEGIN(features)
#define FC_TARGET_END
#endif

#endif
