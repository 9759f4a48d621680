/* AVX2 and FMA kernels. */
#if defined(__x86_64__)
#include "fastconv/isa.h"
#include "fastconv/kernels.h"

#include <immintrin.h>
#include <string.h>

#define FC_ISA avx2
#define FC_ISA_AVX2 1
#define FC_SIMD "fastconv/simd/avx2.h"
#define FC_ROWS 6   /* 6 x 2 accumulators + 2 pixels + 1 weight = 15 of 16 registers */
#define FC_NARROW 2 /* 2 x 4 accumulators + 4 pixels + 1 weight = 13 of 16 */
#define FC_BYTES 1
FC_TARGET_BEGIN("avx2,fma")
#include "fastconv/simd/bytes_avx2.h"
#include "fastconv/kernels/shuffle.h"
#include "fastconv/kernels/permute.h"
#include "fastconv/kernels/stream.h"

#include "fastconv/kernels/unit.h"
FC_TARGET_END
#else
typedef int fc_avx2_is_for_x86_64;
#endif
