/* fma_peak: what this instruction set can do at most: independent multiply-adds in registers, no memory.
 *
 * 12 accumulators: latency 4 x 2 per cycle needs 8. Returns the multiply-adds of one round.
 */
static fc_index FC_NAME(fma_peak)(fc_index rounds, void *sink) {
    enum { CHAINS = 12, STEPS = 1024 };
    v_t sum[CHAINS], factor = v_set1((real)0.999), term = v_set1((real)0.001);
    FC_UNROLL
    for (int i = 0; i < CHAINS; i++) sum[i] = v_set1((real)i);
    for (fc_index n = 0; n < rounds * STEPS; n++) {
        FC_UNROLL
        for (int i = 0; i < CHAINS; i++) sum[i] = v_fma(sum[i], factor, term);
    }
    FC_UNROLL
    for (int i = 0; i < CHAINS; i++) v_store((real *)sink, v_add(v_load(sink), sum[i]));
    return (fc_index)CHAINS * STEPS * V_LANES;
}
