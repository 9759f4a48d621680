/* The byte vocabulary that any CPU runs: no vectors for whole rows, units byte by byte. */
#define FC_BYTE_WORDS 0
#define B_UNIT 16
#define FC_WORDS 0
#define W_UNIT 0
typedef struct {
    unsigned char byte[B_UNIT];
} u_t;

FC_INLINE u_t u_load(const unsigned char *p) {
    u_t v;
    memcpy(&v, p, B_UNIT);
    return v;
}
FC_INLINE void u_store(unsigned char *p, u_t v) { memcpy(p, &v, B_UNIT); }
/* A function: unrolled for each mask of each tile it would be most of the code. */
static __attribute__((noinline)) u_t u_put(u_t out, u_t v, u_t m) {
    for (int i = 0; i < B_UNIT; i++)
        if (m.byte[i] & FC_TAKE) out.byte[i] = v.byte[m.byte[i] & (B_UNIT - 1)];
    return out;
}
FC_INLINE u_t u_pick(u_t v, u_t m) { return u_put(v, v, m); }
