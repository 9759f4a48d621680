/* stream: a copy whose whole cache lines go past the caches (non-temporal stores).
 *
 * fastconv/_loops/stream.pxi says what for.
 */
/* b_stream(p, v) stores a vector at a multiple of its size, past the caches. Such stores are not ordered with others:
 * fc_parallel has a fence behind the last of each thread. One behind each copy would wait for memory. */
static void FC_KERNEL_NAME(bytes, stream, FC_ISA)(void *to, const void *from, fc_index bytes) {
#if FC_BYTE_WORDS
    unsigned char *y = to;
    const unsigned char *x = from;
    fc_index at = (fc_index)(-(uintptr_t)y & (FC_LINE - 1)); /* the bytes before the first whole line */
    if (at + FC_LINE <= bytes) {
        memcpy(y, x, (size_t)at);
        for (; at + FC_LINE <= bytes; at += FC_LINE) {
            FC_UNROLL
            for (int i = 0; i < FC_LINE; i += B_BYTES) b_stream(y + at + i, b_load(x + at + i));
        }
    } else
        at = 0;
    memcpy(y + at, x + at, (size_t)(bytes - at));
#else
    memcpy(to, from, (size_t)bytes);
#endif
}
