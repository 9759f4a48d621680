/* The body of a fastconv/_isa unit: both element types, then the function that enters the kernels into the table.
 *
 * The unit has defined FC_ISA, FC_SIMD (the header of its vocabulary), FC_ROWS and FC_NARROW, and FC_BYTES, whether to
 * enter its byte kernels; it has included those, and has opened its target.
 */
#if defined(FC_HALF)
#define FC_PARTS 2
#else
#define FC_PARTS 1
#endif

#define FC_DTYPE f32
#define FC_IS_F32 1
#define real float
#if defined(FC_HALF)
#include "fastconv/kernels/half.h"
#endif
#include "fastconv/simd/words.h"
#include FC_SIMD
static const fc_index FC_WORD(lanes) = V_LANES;
static const fc_index FC_WORD(part) = V_LANES / FC_PARTS;
#include "fastconv/kernels/all_real.h"
#include "fastconv/simd/end.h"
#undef real
#undef FC_IS_F32
#undef FC_DTYPE

#define FC_DTYPE f64
#define FC_IS_F32 0
#define real double
#if defined(FC_HALF)
#include "fastconv/kernels/half.h"
#endif
#include "fastconv/simd/words.h"
#include FC_SIMD
static const fc_index FC_WORD(lanes) = V_LANES;
static const fc_index FC_WORD(part) = V_LANES / FC_PARTS;
#include "fastconv/kernels/all_real.h"
#include "fastconv/simd/end.h"
#undef real
#undef FC_IS_F32
#undef FC_DTYPE

static void FC_PASTE(fill_real__, FC_ISA, , , )(fc_real_kernels *t, fc_index lanes, fc_index part) {
    t->lanes = lanes;
    t->part = part;
    t->rows = FC_ROWS;
    t->columns = 2 * lanes;
    t->narrow = FC_NARROW;
}

void FC_PASTE(fc_fill__, FC_ISA, , , )(fc_isa *table) {
    FC_PASTE(fill_real__, FC_ISA, , , )(&table->f32, FC_PASTE(lanes__, f32, _, FC_ISA, ),
                                        FC_PASTE(part__, f32, _, FC_ISA, ));
    FC_PASTE(fill_real__, FC_ISA, , , )(&table->f64, FC_PASTE(lanes__, f64, _, FC_ISA, ),
                                        FC_PASTE(part__, f64, _, FC_ISA, ));
#define FC_REAL_KERNEL(family)                                                                                         \
    table->f32.family = FC_KERNEL_NAME(f32, family, FC_ISA);                                                           \
    table->f64.family = FC_KERNEL_NAME(f64, family, FC_ISA);
#define FC_SINGLE_KERNEL(family) table->f32.family = FC_KERNEL_NAME(f32, family, FC_ISA);
#define FC_BYTE_KERNEL(family)                                                                                         \
    if (FC_BYTES) table->bytes.family = FC_KERNEL_NAME(bytes, family, FC_ISA);
    if (FC_BYTES) table->bytes.unit = B_UNIT, table->bytes.words = W_UNIT;
#include "fastconv/kernels.def"
#undef FC_REAL_KERNEL
#undef FC_SINGLE_KERNEL
#undef FC_BYTE_KERNEL
}
