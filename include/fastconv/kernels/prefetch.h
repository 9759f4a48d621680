/* Stores to lines that are far wait for them, and fill the store buffer: rows of outputs are fetched while the products
 * run. 1x1 layers whose outputs come from memory take 2 to 20% less time on a Zen 3.
 */
FC_INLINE void FC_WORD(prefetch_row)(const real *c, const int vectors) {
    FC_UNROLL
    for (int i = 0; i < vectors * V_LANES; i += FC_LINE / (int)sizeof(real)) FC_PREFETCH(c + i);
    FC_PREFETCH(c + vectors * V_LANES - 1);
}
