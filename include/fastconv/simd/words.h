/* The vector vocabulary: all that a kernel may say. Included before a simd/<isa>.h, undone by simd/end.h.
 *
 *   real                   the element type, float or double
 *   v_t, m_t, V_LANES      a vector, a mask of lanes, and how many lanes there are
 *   V_REGISTERS            how many vector registers
 *   v_zero()  v_set1(x)    all lanes 0, all lanes x
 *   v_load(p)  v_store(p, v)          V_LANES elements, any alignment
 *   v_mask(bits)           lane i is on where bit i of a uint32_t is
 *   v_load_m(p, m)         lanes off read 0, and their memory is not touched
 *   v_store_m(p, m, v)     lanes off are not written
 *   v_add(a, b)            a + b
 *   v_fma(a, b, c)         a*b + c; rounded once where the instruction set can, twice in the baseline
 *   v_fma_at(p, b, c)      p[0]*b + c, the factor taken from memory by the multiply-add itself where that exists
 *   v_zip_low(a, b)        a0 b0 a1 b1 ..., V_LANES of it; v_zip_high(a, b) is the rest
 *   v_even(a, b)           with a = p[0..L) and b = p[L-1..2L-1): p[0], p[2], ... p[2L-2]
 * v_transpose(x)         the square of V_LANES vectors x[i]: entry j of vector i changes places with entry i of vector
 * j
 */
#define v_t FC_WORD(v_t)
#define m_t FC_WORD(m_t)
#define v_zero FC_WORD(v_zero)
#define v_set1 FC_WORD(v_set1)
#define v_load FC_WORD(v_load)
#define v_store FC_WORD(v_store)
#define v_mask FC_WORD(v_mask)
#define v_load_m FC_WORD(v_load_m)
#define v_store_m FC_WORD(v_store_m)
#define v_add FC_WORD(v_add)
#define v_fma FC_WORD(v_fma)
#define v_fma_at FC_WORD(v_fma_at)
#define v_zip_low FC_WORD(v_zip_low)
#define v_zip_high FC_WORD(v_zip_high)
#define v_even FC_WORD(v_even)
#define v_transpose FC_WORD(v_transpose)
