/* turn_apart, turn_together: matrices of pixel shuffle where channels lie side by side, a coarse pixel of channels by
 * places and the fine pixels at those places.
 *
 *   turn_apart:     to[j][p*to_step + i] = from[(p*rows + i)*columns + j]       p < count, i < rows, j < columns
 *   turn_together:  to[(p*columns + j)*rows + i] = from[i][p*from_step + j]
 *
 * Squares of V_LANES x V_LANES in registers, as in transpose.h, the last of them with fewer rows and columns. A single
 * place that is left, as of 3x3 with 8 lanes, is copied number by number. Touches those entries alone.
 */
FC_INLINE void FC_WORD(turn_square)(v_t *x, fc_index rows, fc_index columns, const real *const *from) {
    const m_t read = FC_WORD(some_lanes)(columns);
    FC_UNROLL
    for (int i = 0; i < V_LANES; i++) x[i] = i < rows ? v_load_m(from[i], read) : v_zero();
    v_transpose(x);
}

static void FC_NAME(turn_apart)(void *const *to, fc_index to_step, const void *from, fc_index rows, fc_index columns,
                                fc_index count) {
    const real *pixel = from;
    for (fc_index p = 0; p < count; p++, pixel += rows * columns) {
        for (fc_index j = 0; j < columns; j += V_LANES) {
            if (j == columns - 1) {
                for (fc_index i = 0; i < rows; i++) ((real *)to[j])[p * to_step + i] = pixel[i * columns + j];
                break;
            }
            for (fc_index i = 0; i < rows; i += V_LANES) {
                const real *row[V_LANES];
                v_t x[V_LANES];
                FC_UNROLL
                for (int n = 0; n < V_LANES; n++) row[n] = pixel + (i + n) * columns + j;
                FC_WORD(turn_square)(x, rows - i, FC_WORD(min)(V_LANES, columns - j), row);
                FC_UNROLL
                for (int n = 0; n < V_LANES; n++)
                    if (j + n < columns)
                        v_store_first((real *)to[j + n] + p * to_step + i, FC_WORD(min)(V_LANES, rows - i), x[n]);
            }
        }
    }
}

static void FC_NAME(turn_together)(void *to, const void *const *from, fc_index from_step, fc_index rows,
                                   fc_index columns, fc_index count) {
    real *pixel = to;
    for (fc_index p = 0; p < count; p++, pixel += rows * columns) {
        for (fc_index i = 0; i < rows; i += V_LANES) {
            if (i == rows - 1) {
                for (fc_index j = 0; j < columns; j++) pixel[j * rows + i] = ((const real *)from[i])[p * from_step + j];
                break;
            }
            for (fc_index j = 0; j < columns; j += V_LANES) {
                const real *row[V_LANES];
                v_t x[V_LANES];
                FC_UNROLL
                for (int n = 0; n < V_LANES; n++)
                    row[n] = (const real *)from[FC_WORD(min)(i + n, rows - 1)] + p * from_step + j;
                FC_WORD(turn_square)(x, rows - i, FC_WORD(min)(V_LANES, columns - j), row);
                FC_UNROLL
                for (int n = 0; n < V_LANES; n++)
                    if (j + n < columns)
                        v_store_first(pixel + (j + n) * rows + i, FC_WORD(min)(V_LANES, rows - i), x[n]);
            }
        }
    }
}
