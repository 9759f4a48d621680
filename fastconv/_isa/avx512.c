/* AVX-512 kernels; without VBMI, which permutes bytes, the movers stay those of AVX2. */
#if defined(__x86_64__)
#include "fastconv/isa.h"
#include "fastconv/kernels.h"

#include <immintrin.h>
#include <string.h>

#define FC_ISA avx512
#define FC_ISA_AVX512 1
#define FC_SIMD "fastconv/simd/avx512.h"
#define FC_ROWS 14  /* 14 x 2 accumulators + 2 pixels + 1 weight = 31 of 32 registers */
#define FC_NARROW 6 /* 6 x 4 accumulators + 4 pixels + 1 weight = 29 of 32 */
#define FC_BYTES __builtin_cpu_supports("avx512vbmi")
FC_TARGET_BEGIN("avx512f,avx512bw,avx512vbmi,avx2")
#include "fastconv/simd/bytes_avx512.h"
#include "fastconv/kernels/shuffle.h"
#include "fastconv/kernels/permute.h"
FC_TARGET_END
FC_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include "fastconv/kernels/unit.h"
FC_TARGET_END
#else
typedef int fc_avx512_is_for_x86_64;
#endif
