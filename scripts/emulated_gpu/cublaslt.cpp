// cuBLASLt, as far as karat calls it: products of matrices with sums in f32, one after the other over the inner dimension. A value
// is the same whatever the sizes of the matrices around it. One algorithm, which leaves nothing open.
#include "block.hpp"
#include "gpu.hpp"

#include <algorithm>
#include <string.h>
#include <thread>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// Numbers of cublasLt.h and library_types.h.
enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum DataType { R_32F = 0, R_16F = 2, R_16BF = 14 };
enum ComputeType { COMPUTE_32F = 68, COMPUTE_32F_PEDANTIC = 69 };
enum { OP_N = 0, OP_T = 1 };
enum { EPILOGUE_DEFAULT = 1, EPILOGUE_BIAS = 4 };
enum { DESC_TRANSA = 3, DESC_TRANSB = 4, DESC_EPILOGUE = 7, DESC_BIAS_POINTER = 8, DESC_BIAS_TYPE = 26 };
enum { LAYOUT_BATCH_COUNT = 5, LAYOUT_BATCH_OFFSET = 6 };
enum { CAP_STAGES_IDS = 13 };

constexpr int ATTRIBUTES = 9;

struct Product {
    int compute, scale;
    int32_t transposed[2] = {OP_N, OP_N};
    uint32_t epilogue = EPILOGUE_DEFAULT;
    CUdeviceptr bias = 0;
    int32_t bias_type = -1;
};

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t apart;
    int32_t batches = 1;
    int64_t batch_offset = 0;
};

struct Handle {
    CUcontext context;
};

// An algorithm's attributes, each by its number, in the 64 bytes that the caller keeps: id, tile, split, reduction, swizzle,
// custom, stages, inner shape, cluster.
struct Algorithm {
    uint32_t attributes[16];
};
static_assert(sizeof(Algorithm) == 64, "cublasLtMatmulAlgo_t");

struct Answer {
    Algorithm algorithm;
    size_t workspace;
    int status;
    float waves;
    int reserved[4];
};

// Tile 128x128, stages 64x3, one tile a cluster.
constexpr Algorithm ONLY = {{1, 20, 1, 0, 0, 0, 15, 0, 2}};

size_t bytes_of(int type) { return type == R_32F ? 4 : 2; }

template <int TYPE> float widen(const void *from, size_t at) {
    if (TYPE == R_32F) return static_cast<const float *>(from)[at];
    uint16_t bits = static_cast<const uint16_t *>(from)[at];
    if (TYPE == R_16F) {
        _Float16 half;
        memcpy(&half, &bits, 2);
        return (float)half;
    }
    uint32_t wide = (uint32_t)bits << 16;
    float result;
    memcpy(&result, &wide, 4);
    return result;
}

float widen(const void *from, int type, size_t at) {
    return type == R_32F ? widen<R_32F>(from, at) : type == R_16F ? widen<R_16F>(from, at) : widen<R_16BF>(from, at);
}

void narrow(void *to, int type, size_t at, float value) {
    if (type == R_32F) {
        static_cast<float *>(to)[at] = value;
    } else if (type == R_16F) {
        _Float16 half = (_Float16)value;
        memcpy(static_cast<uint16_t *>(to) + at, &half, 2);
    } else {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        bits = value != value ? 0x7fff0000 : bits + 0x7fff + (bits >> 16 & 1);
        static_cast<uint16_t *>(to)[at] = bits >> 16;
    }
}

// Rows of a panel, and columns that are computed at once with it.
constexpr int TALL = 16, WIDE = 6;
typedef float Eight __attribute__((vector_size(32)));
struct alignas(64) Panel {
    Eight halves[2];
};

// sums[c] = Σ panel[k] · columns[c][k], every step fused where the machine can: -ffp-contract=fast.
template <int COUNT> void multiply(const Panel *panel, const float *columns, size_t inner, Panel *sums) {
    Eight low[COUNT] = {}, high[COUNT] = {};
    for (size_t k = 0; k < inner; k++) {
        Eight left = panel[k].halves[0], right = panel[k].halves[1];
#pragma GCC unroll 6
        for (int c = 0; c < COUNT; c++) {
            float factor = columns[c * inner + k];
            low[c] += left * factor;
            high[c] += right * factor;
        }
    }
    for (int c = 0; c < COUNT; c++) sums[c] = {{low[c], high[c]}};
}

struct Job {
    Product product;
    Layout a, b, c, d;
    const char *a_at, *b_at, *c_at;
    char *d_at;
    float alpha, beta;
};

// Element (i, k) of op(A), where A is stored column by column.
struct View {
    const void *at;
    int type;
    size_t row, column;
    View(const char *begin, const Layout &layout, bool transposed, int batch)
        : at(begin + batch * layout.batch_offset * bytes_of(layout.type)), type(layout.type),
          row(transposed ? layout.apart : 1), column(transposed ? 1 : layout.apart) {}
    float operator()(size_t i, size_t k) const { return widen(at, type, i * row + k * column); }

    // The first elements of row i, each `apart` behind the last.
    template <int TYPE> void copy(size_t i, size_t count, float *to, size_t apart) const {
        for (size_t n = 0; n < count; n++) to[n * apart] = widen<TYPE>(at, i * row + n * column);
    }
    void along_row(size_t i, size_t count, float *to, size_t apart) const {
        if (type == R_32F)
            copy<R_32F>(i, count, to, apart);
        else if (type == R_16F)
            copy<R_16F>(i, count, to, apart);
        else
            copy<R_16BF>(i, count, to, apart);
    }
};

void compute_rows(const Job &job, const std::vector<float> &columns, size_t inner, int batch, size_t begin, size_t end) {
    View a(job.a_at, job.a, job.product.transposed[0], batch);
    View c(job.c_at, job.c, false, batch);
    char *d = job.d_at + batch * job.d.batch_offset * bytes_of(job.d.type);
    auto *bias = reinterpret_cast<const void *>(job.product.epilogue == EPILOGUE_BIAS ? job.product.bias : 0);
    int bias_type = job.product.bias_type < 0 ? job.d.type : job.product.bias_type;
    std::vector<Panel> panel(inner);
    for (size_t first = begin; first < end; first += TALL) {
        size_t rows = std::min<size_t>(TALL, end - first);
        if (rows < TALL) std::fill(panel.begin(), panel.end(), Panel{});
        for (size_t i = 0; i < rows; i++) a.along_row(first + i, inner, reinterpret_cast<float *>(panel.data()) + i, TALL);
        for (size_t j = 0; j < job.d.columns; j += WIDE) {
            Panel sums[WIDE];
            const float *from = columns.data() + j * inner;
            switch (std::min<size_t>(WIDE, job.d.columns - j)) {
            case 1: multiply<1>(panel.data(), from, inner, sums); break;
            case 2: multiply<2>(panel.data(), from, inner, sums); break;
            case 3: multiply<3>(panel.data(), from, inner, sums); break;
            case 4: multiply<4>(panel.data(), from, inner, sums); break;
            case 5: multiply<5>(panel.data(), from, inner, sums); break;
            default: multiply<6>(panel.data(), from, inner, sums);
            }
            for (size_t n = 0; n < WIDE && j + n < job.d.columns; n++)
                for (size_t i = 0; i < rows; i++) {
                    float value = job.alpha * sums[n].halves[i / 8][i % 8];
                    if (job.beta != 0.0f) value += job.beta * c(first + i, j + n);
                    if (bias) value += widen(bias, bias_type, first + i);
                    narrow(d, job.d.type, first + i + (j + n) * job.d.apart, value);
                }
        }
    }
}

void compute(const Job &job) {
    bool transposed = job.product.transposed[0];
    size_t inner = transposed ? job.a.rows : job.a.columns, rows = job.d.rows;
    for (int batch = 0; batch < job.d.batches; batch++) {
        // Its columns are the rows of what is transposed once more.
        View b(job.b_at, job.b, !job.product.transposed[1], batch);
        std::vector<float> columns(inner * job.d.columns);
        for (size_t j = 0; j < job.d.columns; j++) b.along_row(j, inner, columns.data() + j * inner, 1);
        size_t shares = double(rows) * inner * (job.d.columns + 8) < 1e6 ? 1 : std::max(1u, std::thread::hardware_concurrency());
        size_t share = (rows / shares + TALL) / TALL * TALL;
        std::vector<std::thread> others;
        for (size_t begin = share; begin < rows; begin += share)
            others.emplace_back([&, begin] { compute_rows(job, columns, inner, batch, begin, std::min(begin + share, rows)); });
        compute_rows(job, columns, inner, batch, 0, std::min(share, rows));
        for (auto &other : others) other.join();
    }
}

bool fits(const Product &product, const Layout &a, const Layout &b, const Layout &c, const Layout &d) {
    bool ta = product.transposed[0], tb = product.transposed[1];
    uint64_t m = ta ? a.columns : a.rows, k = ta ? a.rows : a.columns, n = tb ? b.rows : b.columns;
    auto known = [](int type) { return type == R_32F || type == R_16F || type == R_16BF; };
    bool typed = known(a.type) && a.type == b.type && c.type == d.type && (d.type == a.type || d.type == R_32F);
    typed = typed && product.scale == R_32F;
    typed = typed && (product.compute == COMPUTE_32F || (product.compute == COMPUTE_32F_PEDANTIC && a.type == R_32F));
    bool sized = (tb ? b.columns : b.rows) == k && d.rows == m && d.columns == n && c.rows == m && c.columns == n;
    bool batched = a.batches == d.batches && b.batches == d.batches && c.batches == d.batches;
    auto spaced = [](const Layout &layout) { return layout.apart >= int64_t(layout.rows); };
    bool apart = spaced(a) && spaced(b) && spaced(c) && spaced(d);
    return typed && sized && batched && apart && (product.epilogue == EPILOGUE_DEFAULT || product.epilogue == EPILOGUE_BIAS);
}

bool runs(const Algorithm &algorithm) { return memcmp(&algorithm, &ONLY, sizeof(ONLY)) == 0; }

bool there(const void *at, const Layout &layout) {
    size_t bytes = bytes_of(layout.type);
    size_t values = (layout.columns - 1) * layout.apart + layout.rows + (layout.batches - 1) * layout.batch_offset;
    return reinterpret_cast<CUdeviceptr>(at) % bytes == 0 && karat::allocated(reinterpret_cast<CUdeviceptr>(at), values * bytes);
}

template <typename T> int set(T &to, const void *from, size_t bytes) {
    if (bytes != sizeof(T)) return INVALID_VALUE;
    memcpy(&to, from, bytes);
    return SUCCESS;
}

} // namespace

EXPORT size_t cublasLtGetVersion() { return 130000; }
EXPORT size_t cublasLtGetCudartVersion() { return 13000; }

EXPORT int cublasLtGetProperty(int property, int *value) {
    *value = property == 0 ? 13 : 0;
    return SUCCESS;
}

EXPORT int cublasLtCreate(Handle **to) {
    CUcontext context;
    cuCtxGetCurrent(&context);
    if (!context) return NOT_INITIALIZED;
    *to = new Handle{context};
    return SUCCESS;
}

EXPORT int cublasLtDestroy(Handle *handle) {
    delete handle;
    return SUCCESS;
}

EXPORT int cublasLtMatmulDescCreate(Product **to, int compute, int scale) {
    *to = new Product{compute, scale};
    return SUCCESS;
}

EXPORT int cublasLtMatmulDescDestroy(Product *product) {
    delete product;
    return SUCCESS;
}

EXPORT int cublasLtMatmulDescSetAttribute(Product *product, int attribute, const void *value, size_t bytes) {
    switch (attribute) {
    case DESC_TRANSA: return set(product->transposed[0], value, bytes);
    case DESC_TRANSB: return set(product->transposed[1], value, bytes);
    case DESC_EPILOGUE: return set(product->epilogue, value, bytes);
    case DESC_BIAS_POINTER: return set(product->bias, value, bytes);
    case DESC_BIAS_TYPE: return set(product->bias_type, value, bytes);
    default: return NOT_SUPPORTED;
    }
}

EXPORT int cublasLtMatrixLayoutCreate(Layout **to, int type, uint64_t rows, uint64_t columns, int64_t apart) {
    *to = new Layout{type, rows, columns, apart};
    return SUCCESS;
}

EXPORT int cublasLtMatrixLayoutDestroy(Layout *layout) {
    delete layout;
    return SUCCESS;
}

EXPORT int cublasLtMatrixLayoutSetAttribute(Layout *layout, int attribute, const void *value, size_t bytes) {
    switch (attribute) {
    case LAYOUT_BATCH_COUNT: return set(layout->batches, value, bytes);
    case LAYOUT_BATCH_OFFSET: return set(layout->batch_offset, value, bytes);
    default: return NOT_SUPPORTED;
    }
}

EXPORT int cublasLtMatmulPreferenceCreate(int **to) {
    *to = new int;
    return SUCCESS;
}

EXPORT int cublasLtMatmulPreferenceDestroy(int *preference) {
    delete preference;
    return SUCCESS;
}

// What is asked for, the only algorithm keeps anyway.
EXPORT int cublasLtMatmulPreferenceSetAttribute(int *, int, const void *, size_t) { return SUCCESS; }

EXPORT int cublasLtMatmulAlgoCheck(Handle *, Product *product, Layout *a, Layout *b, Layout *c, Layout *d,
                                   const Algorithm *algorithm, Answer *answer) {
    if (!fits(*product, *a, *b, *c, *d) || !runs(*algorithm)) return NOT_SUPPORTED;
    if (product->epilogue == EPILOGUE_BIAS && !product->bias) return INVALID_VALUE;
    *answer = {*algorithm, 0, SUCCESS, 1.0f, {}};
    return SUCCESS;
}

EXPORT int cublasLtMatmulAlgoGetHeuristic(Handle *handle, Product *product, Layout *a, Layout *b, Layout *c, Layout *d,
                                          int *, int most, Answer *answers, int *count) {
    *count = 0;
    if (most < 1) return INVALID_VALUE;
    int status = cublasLtMatmulAlgoCheck(handle, product, a, b, c, d, &ONLY, answers);
    *count = status == SUCCESS;
    return status;
}

EXPORT int cublasLtMatmulAlgoConfigGetAttribute(const Algorithm *algorithm, int attribute, void *value, size_t bytes,
                                                size_t *written) {
    // Inner shape and cluster are of 16 bits.
    size_t needed = attribute == 7 || attribute == 8 ? 2 : 4;
    if (attribute < 0 || attribute >= ATTRIBUTES || bytes < needed) return INVALID_VALUE;
    memcpy(value, &algorithm->attributes[attribute], needed);
    if (written) *written = needed;
    return SUCCESS;
}

EXPORT int cublasLtMatmulAlgoConfigSetAttribute(Algorithm *algorithm, int attribute, const void *value, size_t bytes) {
    size_t needed = attribute == 7 || attribute == 8 ? 2 : 4;
    if (attribute < 1 || attribute >= ATTRIBUTES || bytes != needed) return INVALID_VALUE;
    memcpy(&algorithm->attributes[attribute], value, needed);
    return SUCCESS;
}

EXPORT int cublasLtMatmulAlgoCapGetAttribute(const Algorithm *, int attribute, void *value, size_t bytes, size_t *written) {
    if (attribute != CAP_STAGES_IDS) return NOT_SUPPORTED;
    const uint32_t *stages = &ONLY.attributes[6];
    if (written) *written = sizeof(*stages);
    if (bytes >= sizeof(*stages)) memcpy(value, stages, sizeof(*stages));
    return SUCCESS;
}

EXPORT int cublasLtMatmul(Handle *handle, Product *product, const float *alpha, const char *a_at, Layout *a, const char *b_at,
                          Layout *b, const float *beta, const char *c_at, Layout *c, char *d_at, Layout *d,
                          const Algorithm *algorithm, void *, size_t, CUstream stream) {
    karat::Guard guard;
    CUcontext context;
    cuCtxGetCurrent(&context);
    if (!fits(*product, *a, *b, *c, *d) || (algorithm && !runs(*algorithm))) return NOT_SUPPORTED;
    if (handle->context != context) return INVALID_VALUE;
    bool all = there(a_at, *a) && there(b_at, *b) && there(d_at, *d) && (*beta == 0.0f || there(c_at, *c));
    if (product->epilogue == EPILOGUE_BIAS) all = all && karat::allocated(product->bias, d->rows * bytes_of(d->type));
    if (!all) {
        fprintf(stderr, "emulated GPU: a matrix of a product reaches beyond its allocation\n");
        return INVALID_VALUE;
    }
    Job job = {*product, *a, *b, *c, *d, a_at, b_at, c_at, d_at, *alpha, *beta};
    return karat::put(stream, [job] { compute(job); }) == CUDA_SUCCESS ? SUCCESS : EXECUTION_FAILED;
}
