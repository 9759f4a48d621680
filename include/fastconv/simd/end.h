/* Undoes simd/words.h and the header of the instruction set, so that the next element type can be defined. */
#undef v_t
#undef m_t
#undef v_zero
#undef v_set1
#undef v_load
#undef v_load_once
#undef v_store
#undef v_mask
#undef v_load_m
#undef v_store_m
#undef v_add
#undef v_fma
#undef v_fma_at
#undef v_even
#undef v_transpose
#undef V_LANES
#undef V_REGISTERS
