/* AVX-512 kernels; without VBMI, which permutes bytes, the movers stay those of AVX2. Emulated, lanes, rows and tails are
 * those of AVX-512, but its words are the baseline's, and no vectors are halved. */
#if defined(__x86_64__)
#include "fastconv/isa.h"
#include "fastconv/kernels.h"

#if !defined(FC_EMULATE)
#include <immintrin.h>
#define FC_SIMD "fastconv/simd/avx512.h"
#define FC_HALF avx512half
#define FC_HALF_SIMD "fastconv/simd/avx2.h"
#define FC_BYTE_SIMD "fastconv/simd/bytes_avx512.h"
#else
#define FC_SIMD "fastconv/simd/baseline.h"
#define FC_BYTE_SIMD "fastconv/simd/bytes_baseline.h"
#define V_BYTES 64
#endif
#include <string.h>

#define FC_ISA avx512
#define FC_ISA_AVX512 1
#define FC_ROWS 14  /* 14 x 2 accumulators + 2 pixels + 1 weight = 31 of 32 registers */
#define FC_NARROW 6 /* 6 x 4 accumulators + 4 pixels + 1 weight = 29 of 32 */
#define FC_BYTES FC_CPU_HAS("avx512vbmi")
FC_TARGET_BEGIN("avx512f,avx512bw,avx512vbmi,avx2")
#include FC_BYTE_SIMD
#include "fastconv/kernels/shuffle.h"
#include "fastconv/kernels/permute.h"
#include "fastconv/kernels/stream.h"
FC_TARGET_END
FC_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#include "fastconv/kernels/unit.h"
FC_TARGET_END
#else
typedef int fc_avx512_is_for_x86_64;
#endif
