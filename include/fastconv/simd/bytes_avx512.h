/* The byte vocabulary in AVX-512 with VBMI: a unit is a vector, 64 bytes. */
#define FC_BYTE_WORDS 1
#define B_BYTES 64
#define B_UNIT 64
#define FC_WORDS 0
#define W_UNIT 0
typedef __m512i b_t;

FC_INLINE b_t b_load(const unsigned char *p) { return _mm512_loadu_si512(p); }
FC_INLINE void b_store(unsigned char *p, b_t v) { _mm512_storeu_si512(p, v); }
FC_INLINE void b_stream(unsigned char *p, b_t v) { _mm512_stream_si512((void *)p, v); }
FC_INLINE b_t b_load_block(const unsigned char *p, fc_index block, fc_index blocks) {
    (void)blocks;
    return b_load(p + B_BYTES * block);
}
FC_INLINE void b_store_block(unsigned char *p, fc_index block, fc_index blocks, b_t v) {
    (void)blocks;
    b_store(p + B_BYTES * block, v);
}
FC_INLINE b_t b_mask(const unsigned char *table, fc_index i) { return b_load(table + B_BYTES * i); }
FC_INLINE b_t b_pick(b_t v, b_t m) { return _mm512_permutexvar_epi8(m, v); }
FC_INLINE b_t b_put(b_t out, b_t v, b_t m) { return _mm512_permutex2var_epi8(out, m, v); }

typedef b_t u_t;
FC_INLINE u_t u_load(const unsigned char *p) { return b_load(p); }
FC_INLINE void u_store(unsigned char *p, u_t v) { b_store(p, v); }
FC_INLINE u_t u_pick(u_t v, u_t m) { return b_pick(v, m); }
FC_INLINE u_t u_put(u_t out, u_t v, u_t m) { return b_put(out, v, m); }
