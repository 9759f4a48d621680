/* The vector vocabulary: all that a kernel may say. Included before a simd/<isa>.h, undone by simd/end.h.
 *
 *   real                   the element type, float or double
 *   v_t, m_t, V_LANES      a vector, a mask of lanes, and how many lanes there are
 *   V_REGISTERS            how many vector registers
 *   v_zero()  v_set1(x)    all lanes 0, all lanes x
 *   v_load(p)  v_store(p, v)          V_LANES elements, any alignment
 *   v_load_once(p)         v_load(p) for several uses: compilers else load it for each of them
 *   v_mask(bits)           lane i is on where bit i of a uint32_t is
 *   v_load_m(p, m)         lanes off read 0, and their memory is not touched
 *   v_load_or(p, m, v)     ... or read v
 *   v_store_first(p, n, v) n of the lanes, 1 <= n <= V_LANES: the others are not written
 *   v_add(a, b)            a + b
 *   v_sub(a, b)            a - b
 *   v_fma(a, b, c)         a*b + c; rounded once where the instruction set can, twice in the baseline
 *   v_fnma(a, b, c)        c - a*b, rounded likewise
 *   v_fma_at(p, b, c)      p[0]*b + c, the factor taken from memory by the multiply-add itself where that exists
 *   v_mul(a, b)  v_div(a, b)          a * b, a / b
 *   v_max(a, b)            the larger; b if they are equal; NaN if one of them is
 *   v_scale(v, n)         v * 2^n for whole numbers n for which 2^n is a normal number
 *   v_swap(v, n)           lane i is lane i ^ n of v; n is a constant, 1, 2, 4 ... V_LANES/2
 *   v_repeat(p)            the 16 bytes at p again and again: lane i is p[i % (16/sizeof(real))]
 *   v_every(p, step)       lane i is p[i*step]; (V_LANES - 1)*step < 2^31
 *   v_zip_low(a, b)        a0 b0 a1 b1 ..., V_LANES of it; v_zip_high(a, b) is the rest
 *   v_even(a, b)           with a = p[0..L) and b = p[L-1..2L-1): p[0], p[2], ... p[2L-2]
 *   v_even_mixed(a, b)     the same lanes in an order that takes fewer operations; v_unmix(v) puts them right
 *   v_pair_mixed(a, b, odd)  with b = p[L..2L): the same, or, with odd = 1, p[1], p[3] ...; in the order of v_even_mixed
 * v_transpose(x)         the square of V_LANES vectors x[i]: entry j of vector i changes places with entry i of vector
 * j
 */
#define v_t FC_WORD(v_t)
#define m_t FC_WORD(m_t)
#define v_zero FC_WORD(v_zero)
#define v_set1 FC_WORD(v_set1)
#define v_load FC_WORD(v_load)
#define v_load_once FC_WORD(v_load_once)
#define v_store FC_WORD(v_store)
#define v_mask FC_WORD(v_mask)
#define v_load_m FC_WORD(v_load_m)
#define v_load_or FC_WORD(v_load_or)
#define v_store_first FC_WORD(v_store_first)
#define v_add FC_WORD(v_add)
#define v_sub FC_WORD(v_sub)
#define v_fma FC_WORD(v_fma)
#define v_fnma FC_WORD(v_fnma)
#define v_fma_at FC_WORD(v_fma_at)
#define v_mul FC_WORD(v_mul)
#define v_div FC_WORD(v_div)
#define v_max FC_WORD(v_max)
#define v_scale FC_WORD(v_scale)
#define v_swap FC_WORD(v_swap)
#define v_repeat FC_WORD(v_repeat)
#define v_every FC_WORD(v_every)
#define v_zip_low FC_WORD(v_zip_low)
#define v_zip_high FC_WORD(v_zip_high)
#define v_even(a, b) v_unmix(v_even_mixed(a, b))
#define v_even_mixed FC_WORD(v_even_mixed)
#define v_pair_mixed FC_WORD(v_pair_mixed)
#define v_unmix FC_WORD(v_unmix)
#define v_transpose FC_WORD(v_transpose)
