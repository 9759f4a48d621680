/* Instantiates, on vectors of half the width, what a kernel leaves to them where its own would be at most half full.
 * Included before kernels/all_real.h by units that have such vectors: FC_HALF is their name, FC_HALF_SIMD their
 * vocabulary, and they have as many registers.
 */
#pragma push_macro("FC_ISA")
#undef FC_ISA
#define FC_ISA FC_HALF
#define FC_IS_HALF
#include "fastconv/simd/words.h"
#include FC_HALF_SIMD
#undef V_REGISTERS
#define V_REGISTERS 32
#include "fastconv/kernels/lanes.h"
#include "fastconv/kernels/prefetch.h"
#include "fastconv/kernels/filter.h"
#include "fastconv/kernels/pixels.h"
#include "fastconv/simd/end.h"
#undef FC_IS_HALF
#pragma pop_macro("FC_ISA")
