"""Declarations of include/fastconv: kernels.h and threads.h say what each means."""

cdef extern from "fastconv/kernels.h" nogil:
    ctypedef Py_ssize_t fc_index

    enum:
        FC_BLOCK_K
        FC_MAX_WAYS
        FC_MAX_TABLE
        FC_MAX_RUNS
        FC_ISA_COUNT

    ctypedef struct fc_run:
        fc_index first
        fc_index count

    ctypedef struct fc_image:
        const void *pixels
        fc_index channel
        fc_index[2] pitch
        fc_index[3] size
        fc_index[3] step
        fc_index[3] origin
        fc_index[3] grid

    ctypedef struct fc_filter:
        fc_index rows
        fc_index columns
        fc_index y_row
        fc_index step
        fc_index x_row
        fc_index sources
        const fc_index *x_at
        const fc_index *w_at
        fc_index taps_h
        fc_index taps_w
        const fc_index *tap
        const void *w
        fc_index w_h
        fc_index w_w
        fc_index edges, across
        fc_index lo
        fc_index hi
        fc_index top
        fc_index bottom

    ctypedef struct fc_rows:
        fc_index outputs
        fc_index step
        fc_index planes
        fc_index plane_step
        fc_index rows
        fc_index row_step

    ctypedef struct fc_columns:
        fc_index outputs
        fc_index pitch
        fc_index y_pitch
        fc_index count
        fc_index step
        fc_index taps
        fc_index stride
        const fc_index *first
        const fc_index *length

    ctypedef struct fc_real_kernels:
        fc_index lanes
        fc_index rows
        fc_index columns
        fc_index narrow
        fc_index part
        int (*pack_weights)(void *, const void *, fc_index, const fc_index *, fc_index, const fc_index *,
                            const fc_index *) noexcept nogil
        fc_index (*pack_panel)(void *, fc_index, const fc_image *, const fc_index *, fc_index, fc_index, fc_index,
                               fc_index, int, fc_run *) noexcept nogil
        void (*pack_strip)(void *, fc_index, fc_index, const void *, fc_index, fc_index, fc_index, fc_index, fc_index,
                           fc_index) noexcept nogil
        void (*finish)(fc_index, fc_index, void *, fc_index, const void *, fc_index, int, double) noexcept nogil
        void (*transpose)(void *, fc_index, const void *, fc_index, fc_index, fc_index) noexcept nogil
        void (*turn_apart)(void *const *, fc_index, const void *, fc_index, fc_index, fc_index) noexcept nogil
        void (*turn_together)(void *, const void *const *, fc_index, fc_index, fc_index, fc_index) noexcept nogil
        void (*pack_pixels)(void *, const void *, fc_index, fc_index, fc_index, fc_index, fc_index) noexcept nogil
        void (*unpack_pixels)(void *, fc_index, fc_index, const void *, fc_index) noexcept nogil
        void (*resize_row)(void *, const void *, const fc_index *, const void *, fc_index) noexcept nogil
        void (*depthwise)(void *, fc_index, fc_index, const void *, fc_index, fc_index, fc_index, fc_index,
                          const fc_index *, const void *, fc_index, const fc_index *, const void *) noexcept nogil
        void (*depthwise_sums)(void *, fc_index, fc_index, const void *, fc_index, fc_index, fc_index,
                               const fc_index *, const void *, fc_index, const fc_index *,
                               const void *) noexcept nogil
        void (*filter)(const fc_filter *, const void *, void *, const void *) noexcept nogil
        void (*gemm)(fc_index, fc_index, const void *, const fc_run *, fc_index, const void *, const fc_index *,
                     void *, fc_index, const void *) noexcept nogil
        void (*pixel_product)(fc_index, fc_index, const void *, fc_index, const fc_run *, fc_index, const void *,
                              void *, fc_index, const void *) noexcept nogil
        void (*pixel_dots)(fc_index, fc_index, const void *, fc_index, const fc_run *, fc_index, const void *, void *,
                           fc_index, const void *) noexcept nogil
        void (*pixel_sums)(fc_index, fc_index, const void *, fc_index, const fc_run *, fc_index, const void *, void *,
                           fc_index, const void *) noexcept nogil
        void (*copy_panels)(void *, const void *, fc_index, fc_index, fc_index) noexcept nogil
        void (*add_patches)(void *, fc_index, fc_index, fc_index, const void *, fc_index, fc_index, fc_index, fc_index,
                            fc_index) noexcept nogil
        void (*pack_block)(void *, const void *, fc_index, fc_index, fc_index, fc_index, fc_index) noexcept nogil
        void (*unpack_block)(void *, fc_index, fc_index, const void *, fc_index) noexcept nogil
        int (*winograd_weights)(void *, fc_index, const void *, const fc_index *, fc_index, fc_index, fc_index,
                                fc_index, const void *, const void *) noexcept nogil
        void (*winograd_input)(fc_index, fc_index, const void *, fc_index, const void *, fc_index, fc_index, fc_index,
                               void *, fc_index) noexcept nogil
        void (*winograd_product)(fc_index, fc_index, fc_index, const void *, fc_index, const void *, void *, fc_index,
                                 int) noexcept nogil
        int (*winograd_output)(fc_index, fc_index, fc_index, fc_index, const void *, fc_index, const void *, fc_index,
                               fc_index, const void *, void *, fc_index, fc_index, fc_index) noexcept nogil
        int (*fft)(void *, void *, fc_index, fc_index, fc_index, const void *, int) noexcept nogil
        fc_index (*fma_peak)(fc_index, void *) noexcept nogil
        void (*max_rows)(void *, fc_index, const void *, const fc_rows *, fc_index) noexcept nogil
        void (*sum_rows)(void *, fc_index, const void *, const fc_rows *, fc_index) noexcept nogil
        void (*max_taps)(void *, const void *, const fc_columns *) noexcept nogil
        void (*mean_taps)(void *, const void *, const fc_columns *, const void *, const void *) noexcept nogil
        void (*max_runs)(void *, const void *, const fc_columns *) noexcept nogil
        void (*mean_runs)(void *, const void *, const fc_columns *, const void *, const void *) noexcept nogil

    ctypedef struct fc_interleaving:
        fc_index ways
        fc_index step
        fc_index count
        fc_index item_bytes
        const unsigned char *table
        fc_index rows
        fc_index next_fine
        fc_index[16] next_coarse

    ctypedef struct fc_permutation:
        fc_index unit
        fc_index pixels
        fc_index to_runs
        fc_index to_run
        fc_index to_step
        fc_index from_runs
        fc_index from_run
        fc_index from_step
        fc_index blocks
        fc_index to_block
        fc_index from_block
        fc_index tiles
        const fc_index *places
        const unsigned char *masks

    ctypedef struct fc_byte_kernels:
        fc_index unit, words
        void (*interleave)(void *, const void *const *, const fc_interleaving *) noexcept nogil
        void (*deinterleave)(void *const *, const void *, const fc_interleaving *) noexcept nogil
        void (*permute)(void *const *, const void *const *, fc_index, const fc_permutation *) noexcept nogil
        void (*stream)(void *, const void *, fc_index) noexcept nogil

    ctypedef struct fc_isa:
        const char *name
        fc_real_kernels f32
        fc_real_kernels f64
        fc_byte_kernels bytes

    ctypedef void fc_any_fn() noexcept
    int fc_isa_kernel(const fc_isa *table, int index, const char **name, fc_any_fn **kernel)
    int fc_isa_compiled(int index)
    int fc_isa_usable(int index)
    const fc_isa *fc_isa_table(int index)
    const char *fc_isa_name(int index)
    int fc_isa_halves(int index)
    fc_index fc_amd_l3_bytes()
    void fc_shuffle_table(unsigned char *table, fc_index unit, fc_index ways, fc_index item_bytes, int undo)

cdef extern from "fastconv/threads.h" nogil:
    ctypedef void fc_work_fn(void *job, Py_ssize_t item, Py_ssize_t worker) noexcept nogil
    enum:
        FC_MAX_THREADS
    void fc_parallel(fc_work_fn *work, void *job, Py_ssize_t items, Py_ssize_t threads)
    void fc_stop_threads()
