/* Portable kernels: every entry of the table, in C that any CPU runs. */
#include "fastconv/isa.h"
#include "fastconv/kernels.h"

#include <string.h>

#define FC_ISA baseline
#define FC_SIMD "fastconv/simd/baseline.h"
#define FC_ROWS 4   /* 4 x 2 accumulators + 2 pixels + 1 weight + 1 product = 12 of SSE2's 16 registers */
#define FC_NARROW 2 /* 2 x 4 accumulators + 4 pixels + 1 weight + 1 product = 14 of 16 */
#define FC_BYTES 1
#include "fastconv/simd/bytes_baseline.h"
#include "fastconv/kernels/shuffle.h"
#include "fastconv/kernels/permute.h"
#include "fastconv/kernels/stream.h"
#include "fastconv/kernels/unit.h"
