/* Which instruction sets this build has, which of them this machine runs, and their tables of kernels. */
#include "fastconv/isa.h"
#include "fastconv/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const names[FC_ISA_COUNT] = {"baseline", "avx2", "avx512"};

int fc_isa_compiled(int index) {
#if defined(__x86_64__)
    return index >= 0 && index < FC_ISA_COUNT;
#else
    return index == 0;
#endif
}

/* __builtin_cpu_supports asks CPUID and, through XGETBV, whether the operating system saves the wider registers. */
int fc_isa_usable(int index) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const int avx2 = FC_CPU_HAS("avx2") && FC_CPU_HAS("fma");
    const int avx512 =
        FC_CPU_HAS("avx512f") && FC_CPU_HAS("avx512bw") && FC_CPU_HAS("avx512dq") && FC_CPU_HAS("avx512vl");
    return index == 0 || (index == 1 && avx2) || (index == 2 && avx2 && avx512);
#else
    return index == 0;
#endif
}

const char *fc_isa_name(int index) { return names[index]; }

/* Baseline first, then each better set overwrites. Filled once, under the GIL, when the module is imported. */
const fc_isa *fc_isa_table(int index) {
    static fc_isa tables[FC_ISA_COUNT];
    fc_isa *t = &tables[index];
    if (t->name) return t;
    fc_fill__baseline(t);
#if defined(__x86_64__)
    if (index >= 1) fc_fill__avx2(t);
    if (index >= 2) fc_fill__avx512(t);
#endif
    t->name = names[index];
    return t;
}

/* AMD lists its caches in leaf 0x8000001d. sysconf(3) says 320 MiB of a Zen 4, whose cores see 32. Intel's leaf 4 would
 * say the same of its own, but is not asked: 300 MiB that a server's cores share are far (docs/performance.md). */
fc_index fc_amd_l3_bytes(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    for (unsigned cache = 0; __get_cpuid_count(0x8000001d, cache, &a, &b, &c, &d) && (a & 31); cache++)
        if ((a >> 5 & 7) == 3)
            return ((fc_index)(b >> 22) + 1) * ((b >> 12 & 1023) + 1) * ((b & 4095) + 1) * ((fc_index)c + 1);
#endif
    return 0;
}

/* Zen 4: family 19h, whose Zen 3 has no AVX-512. Zen 5 is 1Ah. What Intel's cores do, CPUID does not say. */
int fc_isa_halves(int index) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    if (index == 2 && __get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx && __get_cpuid(1, &a, &b, &c, &d))
        return (a >> 8 & 15) + (a >> 20 & 255) == 0x19;
#endif
    return 0;
}

int fc_isa_kernel(const fc_isa *table, int index, const char **name, fc_any_fn **kernel) {
    const struct {
        const char *name;
        fc_any_fn *kernel;
    } entries[] = {
#define FC_REAL_KERNEL(family)                                                                                         \
    {"f32_" #family, (fc_any_fn *)table->f32.family}, {"f64_" #family, (fc_any_fn *)table->f64.family},
#define FC_SINGLE_KERNEL(family) {"f32_" #family, (fc_any_fn *)table->f32.family},
#define FC_BYTE_KERNEL(family) {"bytes_" #family, (fc_any_fn *)table->bytes.family},
#include "fastconv/kernels.def"
#undef FC_REAL_KERNEL
#undef FC_SINGLE_KERNEL
#undef FC_BYTE_KERNEL
    };
    if (index < 0 || index >= (int)(sizeof entries / sizeof *entries)) return 0;
    *name = entries[index].name;
    *kernel = entries[index].kernel;
    return 1;
}

void fc_shuffle_table(unsigned char *table, fc_index unit, fc_index ways, fc_index item_bytes, int undo) {
    for (fc_index i = 0; i < ways * ways; i++)
        for (fc_index byte = 0; byte < unit; byte++) table[unit * i + byte] = (unsigned char)(FC_KEEP | byte);
    fc_index block = 0, at = 0; /* of the fine row: item i of coarse row j begins at byte `at` of the block */
    for (fc_index from = 0; from < unit; from += item_bytes)
        for (fc_index j = 0; j < ways; j++) {
            for (fc_index byte = 0; byte < item_bytes; byte++) {
                if (undo)
                    table[unit * (j * ways + block) + from + byte] = (unsigned char)(FC_TAKE | (at + byte));
                else
                    table[unit * (block * ways + j) + at + byte] = (unsigned char)(FC_TAKE | (from + byte));
            }
            at += item_bytes;
            if (at == unit) at = 0, block++;
        }
}
