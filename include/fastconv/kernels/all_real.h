/* Instantiates every element kernel for (FC_DTYPE, real, FC_ISA). No include guard: once per element type and unit. */
#include "fastconv/kernels/depthwise.h"
#include "fastconv/kernels/fft.h"
#include "fastconv/kernels/gemm.h"
#include "fastconv/kernels/finish.h"
#include "fastconv/kernels/lanes.h"
#include "fastconv/kernels/panel.h"
#include "fastconv/kernels/peak.h"
#include "fastconv/kernels/pixels.h"
#include "fastconv/kernels/filter.h"
#include "fastconv/kernels/pool.h"
#include "fastconv/kernels/resize.h"
#include "fastconv/kernels/strip.h"
#include "fastconv/kernels/transpose.h"
#include "fastconv/kernels/weights.h"
#if FC_IS_F32
#include "fastconv/kernels/blocks.h"
#include "fastconv/kernels/winograd.h"
#endif
