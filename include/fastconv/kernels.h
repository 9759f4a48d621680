/* The table of kernels: one per instruction set, complete in the portable baseline, then overwritten by better ones.
 *
 * Every index and stride is a number of elements unless its name says bytes. A kernel does one block of work: it
 * allocates nothing, starts no thread, knows no Python, and trusts its arguments.
 */
#ifndef FASTCONV_KERNELS_H
#define FASTCONV_KERNELS_H

#include <stddef.h>
#include <stdint.h>

typedef ptrdiff_t fc_index;

enum {
    FC_BLOCK_K = 256, /* products summed in registers before they are added to the output: see kernels/gemm.h */
    FC_MAX_WAYS = 16, /* rows that the byte movers interleave in registers */
    FC_MAX_TABLE = FC_MAX_WAYS * FC_MAX_WAYS * 64, /* bytes of the largest fc_shuffle_table */
    FC_MAX_RUNS = 64,                              /* rows that the pixels of one are permuted to */
    FC_MAX_GROUP = 4096,                           /* bytes of the pixels that are permuted at a time */
    FC_TAKE = 0x40, /* byte i of a mask: FC_TAKE | n takes byte n of the vector picked from, */
    FC_KEEP = 0x80  /* FC_KEEP | i leaves what is there */
};

/* Live rows of a panel: weights first, first + 1, ... first + count - 1 of the block. Taps that fall on padding for
 * every pixel of the tile are left out of the panel, so the rows in use are a few runs of the block's rows. */
typedef struct {
    fc_index first, count;
} fc_run;

/* The image that pixels are gathered from: output position q of an axis reads input q*step + origin + offset of the
 * tap; positions outside [0, size) are padding. */
typedef struct {
    const void *pixels; /* element (0, 0, 0, 0) of the first channel to gather */
    fc_index channel;   /* stride from channel to channel */
    fc_index pitch[2];  /* strides of the axes d and h; that of w is 1 */
    fc_index size[3];   /* input size of d, h, w */
    fc_index step[3];   /* input positions per output position */
    fc_index origin[3]; /* minus the padding at the low side */
    fc_index grid[3];   /* output size of d, h, w */
} fc_image;

/* What a block of output rows of one channel reads, and where it lies: see kernels/filter.h. */
typedef struct {
    fc_index rows, columns, y_row; /* of the output */
    fc_index step, x_row; /* rows of x from one output row to the next, and elements from one of x to the next */
    fc_index sources;     /* channels and planes: where each begins in x, and its weights in w */
    const fc_index *x_at, *w_at;
    fc_index taps_h, taps_w;
    const fc_index *tap; /* where the taps of a row begin, from that of the source */
    const void *w;
    fc_index w_h, w_w;
    fc_index edges;               /* is x an image without padding? Then it has */
    fc_index lo, hi, top, bottom; /* these columns and rows */
    fc_index across;              /* elements of x from one output column to the next: 1, or step with edges */
} fc_filter;

/* ---- element kernels: void stands for the element type of the table ---- */

/* kernels/weights.h: a[place[i] + r] = w[row_offset[r] + offset[i]], offsets ascending; returns nonzero if one of
 * them is NaN or infinite. */
typedef int fc_pack_weights_fn(void *a, const void *w, fc_index rows, const fc_index *row_offset, fc_index count,
                               const fc_index *offset, const fc_index *place);

/* kernels/panel.h: gathers count pixels from flat output position `pixel` on, one row per tap and channel, taps
 * outermost and rows `pitch` apart; tap_offset holds (d, h, w) per tap. Returns the number of runs written; with
 * skip_dead, rows that would be zero throughout are left out. */
typedef fc_index fc_pack_panel_fn(void *panel, fc_index pitch, const fc_image *image, const fc_index *tap_offset,
                                  fc_index taps, fc_index channels, fc_index pixel, fc_index count, int skip_dead,
                                  fc_run *runs);

/* kernels/strip.h: input rows, zero-padded and split by the position modulo step, into step rows of `pitch` each. */
typedef void fc_pack_strip_fn(void *strip, fc_index strip_row, fc_index pitch, const void *row, fc_index row_pitch,
                              fc_index rows, fc_index width, fc_index first, fc_index step, fc_index count);

/* kernels/finish.h: y[r][n] = end(y[r][n] + residual[r][n]), in place. */
enum { FC_NO_END, FC_RELU, FC_RELU6, FC_LEAKY_RELU, FC_SIGMOID, FC_SILU, FC_TANH };
typedef void fc_finish_fn(fc_index rows, fc_index columns, void *y, fc_index y_row, const void *residual,
                          fc_index r_row, int kind, double slope);

/* kernels/transpose.h: to[j*to_row + i] = from[i*from_row + j]; and blocks of channels where those lie side by side. */
typedef void fc_transpose_fn(void *to, fc_index to_row, const void *from, fc_index from_row, fc_index rows,
                             fc_index columns);
typedef void fc_pack_pixels_fn(void *block, const void *pixels, fc_index column, fc_index channels, fc_index width,
                               fc_index first, fc_index count);
typedef void fc_unpack_pixels_fn(void *pixels, fc_index column, fc_index channels, const void *block, fc_index count);

/* kernels/turn.h: to[j][p*to_step + i] = from[(p*rows + i)*columns + j]; and to[(p*columns + j)*rows + i]
 * = from[i][p*from_step + j]. */
typedef void fc_turn_apart_fn(void *const *to, fc_index to_step, const void *from, fc_index rows, fc_index columns,
                              fc_index count);
typedef void fc_turn_together_fn(void *to, const void *const *from, fc_index from_step, fc_index rows, fc_index columns,
                                 fc_index count);

/* kernels/resize.h: y[j] = w[j]*x[at[j]] + w[count + j]*x[at[count + j]]. */
typedef void fc_resize_row_fn(void *y, const void *x, const fc_index *at, const void *w, fc_index count);

/* kernels/depthwise.h: y[p*y_step + b*L + i] = bias[b*L + i] + sum_t,j w[b*w_block + w_at[t] + j*L + i]
 * * x[p*x_step + b*L + at[t] + (i ^ gray(j))], L lanes. */
typedef void fc_depthwise_fn(void *y, fc_index y_step, fc_index count, const void *x, fc_index x_step, fc_index blocks,
                             fc_index group, fc_index taps, const fc_index *at, const void *w, fc_index w_block,
                             const fc_index *w_at, const void *bias);

/* kernels/depthwise.h: y[p*y_step] = bias[0] + sum_b,t,i w[b*w_block + w_at[t] + i] * x[p*x_step + b*L + at[t] + i]. */
typedef void fc_depthwise_sums_fn(void *y, fc_index y_step, fc_index count, const void *x, fc_index x_step,
                                  fc_index blocks, fc_index taps, const fc_index *at, const void *w, fc_index w_block,
                                  const fc_index *w_at, const void *bias);

/* kernels/filter.h: y[r][n] = start + sum_s,i,j w[w_at[s] + i*w_h + j*w_w] * x[x_at[s] + (r*step + i)*x_row + tap[j]
 * + n*across]. */
typedef void fc_filter_fn(const fc_filter *filter, const void *x, void *y, const void *bias);

/* kernels/gemm.h: c[r][n] = start[r][n] + sum_k a[k][r] * b[b_row[k] + n]. */
typedef void fc_gemm_fn(fc_index rows, fc_index columns, const void *a, const fc_run *runs, fc_index n_runs,
                        const void *b, const fc_index *b_row, void *c, fc_index c_stride, const void *bias);

/* kernels/pixels.h: c[r][n] = start[r][n] + sum_k a[r][k] * b[k][n], rows of a the runs of a pixel. */
typedef void fc_pixel_product_fn(fc_index rows, fc_index columns, const void *a, fc_index a_row, const fc_run *runs,
                                 fc_index n_runs, const void *b, void *c, fc_index c_row, const void *bias);
typedef fc_pixel_product_fn fc_pixel_dots_fn;
typedef fc_pixel_product_fn fc_pixel_sums_fn; /* kernels/sums.h */

/* kernels/patches.h: columns of rows in panels of weights of pixel products; and y[m][r][t] += z[m][r][t]. */
typedef void fc_copy_panels_fn(void *to, const void *from, fc_index from_row, fc_index rows, fc_index columns);
typedef void fc_add_patches_fn(void *y, fc_index y_channel, fc_index y_row, fc_index y_step, const void *z,
                               fc_index z_channel, fc_index z_row, fc_index channels, fc_index rows, fc_index taps);

/* kernels/blocks.h: block[p][i] = row i of `rows`, from position `first` on; and back. */
typedef void fc_pack_block_fn(void *block, const void *rows, fc_index channel, fc_index channels, fc_index width,
                              fc_index first, fc_index count);
typedef void fc_unpack_block_fn(void *rows, fc_index channel, fc_index channels, const void *block, fc_index count);

/* kernels/winograd.h: weights, pixels and sums on their ways in and out of the tiles, and the product between. */
typedef int fc_winograd_weights_fn(void *u, fc_index u_plane, const void *w, const fc_index *tap, fc_index taps_h,
                                   fc_index taps_w, fc_index n_h, fc_index n_w, const void *g_h, const void *g_w);
typedef void fc_winograd_input_fn(fc_index n_h, fc_index n_w, const void *table, fc_index tiles, const void *x,
                                  fc_index x_row, fc_index x_column, fc_index x_tile, void *v, fc_index v_plane);
typedef void fc_winograd_product_fn(fc_index rows, fc_index vectors, fc_index count, const void *a, fc_index a_block,
                                    const void *b, void *c, fc_index c_row, int add);
typedef int fc_winograd_output_fn(fc_index n_h, fc_index n_w, fc_index m_h, fc_index m_w, const void *table,
                                  fc_index tiles, const void *sums, fc_index plane, fc_index tile_step,
                                  const void *bias, void *y, fc_index y_row, fc_index y_column, fc_index y_tile);
/* kernels/fft.h: X[f][n] = sum_r x[r][n] * exp(-+2 pi i f r / size), in place; nonzero if a result of the inverse is
 * not finite. */
typedef int fc_fft_fn(void *re, void *im, fc_index size, fc_index stride, fc_index columns, const void *roots,
                      int inverse);

/* kernels/peak.h: `rounds` rounds of multiply-adds in registers; returns the multiply-adds per round. */
typedef fc_index fc_fma_peak_fn(fc_index rounds, void *sink);

/* kernels/pool.h: to[r*pitch + i] = join over d < planes, h < rows of x[r*step + d*plane_step + h*row_step + i] for
 * r < outputs, i < count. */
typedef struct {
    fc_index outputs, step; /* rows of `to`, and from the window of one to that of the next */
    fc_index planes, plane_step, rows, row_step;
} fc_rows;
typedef void fc_max_rows_fn(void *to, fc_index pitch, const void *x, const fc_rows *windows, fc_index count);
typedef fc_max_rows_fn fc_sum_rows_fn;

/* kernels/pool.h: y[r*y_pitch + j] = join over k < taps of joined[r*pitch + j*stride + k*step], or over k < length[j]
 * of joined[r*pitch + first[j] + k*step], for r < outputs, j < count; a mean divides by rows[r]*columns[j]; its step is
 * 1. */
typedef struct {
    fc_index outputs, pitch, y_pitch, count, step;
    fc_index taps, stride;          /* taps only */
    const fc_index *first, *length; /* runs only */
} fc_columns;
typedef void fc_max_taps_fn(void *y, const void *joined, const fc_columns *windows);
typedef void fc_mean_taps_fn(void *y, const void *joined, const fc_columns *windows, const void *columns,
                             const void *rows);
typedef fc_max_taps_fn fc_max_runs_fn;
typedef fc_mean_taps_fn fc_mean_runs_fn;

/* ---- byte kernels: any element size, in bytes ---- */

/* kernels/shuffle.h: rows of elements of item_bytes, fine[q*step + j] = coarse[j][q] for j < ways, q < count. Bytes lie
 * between the starts of neighbouring rows: next_fine, and next_coarse of each way. `table` is from fc_shuffle_table. */
typedef struct {
    fc_index ways, step, count, item_bytes;
    const unsigned char *table;
    fc_index rows, next_fine;
    fc_index next_coarse[FC_MAX_WAYS]; /* not read of one row */
} fc_interleaving;
typedef void fc_interleave_fn(void *fine, const void *const *coarse, const fc_interleaving *how);
/* ... and back: coarse[j][q] = fine[q*step + j]. */
typedef void fc_deinterleave_fn(void *const *coarse, const void *fine, const fc_interleaving *how);

/* kernels/permute.h: bytes of groups of pixels change places. Runs are what a group has of one row, in bytes; of each
 * tile `places` has the numbers of loads and stores, whether each store has loads of its own, and of each of them the
 * run and the byte. */
typedef struct {
    fc_index unit;   /* bytes of a load, store and mask: of the table's two */
    fc_index pixels; /* of a group */
    fc_index to_runs, to_run, to_step, from_runs, from_run, from_step;
    fc_index blocks, to_block, from_block; /* of channels, each permuted alike: how many, and the bytes between them */
    fc_index tiles;
    const fc_index *places;
    const unsigned char *masks; /* [tile][store][load] */
} fc_permutation;
typedef void fc_permute_fn(void *const *to, const void *const *from, fc_index pixels, const fc_permutation *plan);
/* kernels/stream.h: a copy past the caches. */
typedef void fc_stream_fn(void *to, const void *from, fc_index bytes);

/* ---- the tables ---- */

typedef struct {
    fc_index lanes;   /* elements of a vector */
    fc_index rows;    /* most rows of a gemm tile */
    fc_index columns; /* columns of a gemm tile: two vectors */
    fc_index narrow;  /* up to this many rows a tile may be four vectors wide */
    fc_index part;    /* weights of a pixel product have a multiple of so many outputs */
#define FC_REAL_KERNEL(family) fc_##family##_fn *family;
#define FC_SINGLE_KERNEL(family) fc_##family##_fn *family; /* NULL in the table of float64 */
#define FC_BYTE_KERNEL(family)
#include "kernels.def"
#undef FC_REAL_KERNEL
#undef FC_SINGLE_KERNEL
#undef FC_BYTE_KERNEL
} fc_real_kernels;

typedef struct {
    fc_index unit;  /* bytes of a mask of fc_shuffle_table, and of a unit whose bytes go anywhere */
    fc_index words; /* bytes of a unit whose words of 4 go anywhere; 0 where the other is as large */
#define FC_REAL_KERNEL(family)
#define FC_SINGLE_KERNEL(family)
#define FC_BYTE_KERNEL(family) fc_##family##_fn *family;
#include "kernels.def"
#undef FC_REAL_KERNEL
#undef FC_SINGLE_KERNEL
#undef FC_BYTE_KERNEL
} fc_byte_kernels;

typedef struct {
    const char *name;
    fc_real_kernels f32, f64;
    fc_byte_kernels bytes;
} fc_isa;

enum { FC_ISA_COUNT = 3 };

/* fastconv/_isa/dispatch.c */
int fc_isa_compiled(int index);        /* is there code for it in this build? */
int fc_isa_usable(int index);          /* does this CPU run it, and does its OS save the registers? */
const fc_isa *fc_isa_table(int index); /* 0 baseline, 1 avx2, 2 avx512 */
const char *fc_isa_name(int index);
int fc_isa_halves(int index);   /* does the CPU work on halves of its vectors, so that those take half the time? */
fc_index fc_amd_l3_bytes(void); /* that this core shares with its neighbours; 0 where it is not an AMD */

/* Entry `index` of a table by name ("f32_gemm") and address, for the kernel tests; 0 behind the last. */
typedef void fc_any_fn(void);
int fc_isa_kernel(const fc_isa *table, int index, const char **name, fc_any_fn **kernel);

/* each fastconv/_isa unit: overwrites what it does better */
void fc_fill__baseline(fc_isa *table);
void fc_fill__avx2(fc_isa *table);
void fc_fill__avx512(fc_isa *table);

/* Masks for interleaving `ways` rows of item_bytes by movers of that unit: ways*ways*unit bytes. kernels/shuffle.h says
 * how. */
void fc_shuffle_table(unsigned char *table, fc_index unit, fc_index ways, fc_index item_bytes, int undo);

#endif
