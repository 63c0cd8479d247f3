/* STIG native core: the C ABI of the CPU kernels.
 *
 * Rules that hold for every function
 * - Returns a stig_status; on anything but STIG_OK, stig_last_error() holds a sentence for the calling thread.
 *   No C++ exception crosses this boundary.
 * - Tensors are passed by descriptor (stig_tensor) and are never allocated, kept or freed by the core. Inputs are
 *   const. A descriptor whose data is null means "not wanted" where the comment says optional.
 * - Extents are checked; a mismatch is STIG_INVALID_ARGUMENT with the extents in the message.
 * - Results do not depend on the number of threads: work is split over independent outputs, and every reduction has a
 *   fixed order. One exception: stig_conv2d_backward_weights, where oneDNN splits the sum over pixels among the threads
 *   there are at stig_conv2d_create; for the same number of threads it is reproducible.
 * - Names follow oneDNN: src, dst, weights, diff_X is the gradient of the loss with respect to X, n c h w, ic oc.
 */
#ifndef STIG_H
#define STIG_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef STIG_BUILDING_CORE
#define STIG_API __attribute__((visibility("default")))
#else
#define STIG_API
#endif

typedef int32_t stig_status;
enum {
  STIG_OK = 0,
  STIG_INVALID_ARGUMENT = 1, /* an extent, pointer or option is wrong */
  STIG_OUT_OF_MEMORY = 2,    /* the host has no memory left */
  STIG_UNSUPPORTED = 3,      /* a library says it cannot do this shape */
  STIG_LIBRARY_FAILURE = 4,  /* a library call failed for another reason */
  STIG_INTERNAL_ERROR = 5,   /* a defect of the core */
  STIG_NOT_FINITE = 6        /* a number is infinite or not a number where that may not be */
};

/* A tensor of four extents. Element (i, j, y, x) of a planar tensor (block = 1) is at
 *   data[i * batch_stride + (j * h + y) * w + x];
 * of a channel-blocked tensor (block = 16, c a multiple of 16, oneDNN's nChw16c) at
 *   data[i * batch_stride + ((j / 16 * h + y) * w + x) * 16 + j % 16].
 * A view into the channels of a larger tensor is the same thing with that tensor's batch_stride. Fewer than four
 * extents: [k] is c = k; [n, k] is n, c = k; a scalar is 1, 1, 1, 1. Complex values are pairs of floats (re, im), and
 * extents and strides count pairs. */
typedef struct stig_tensor {
  void* data;
  int64_t n, c, h, w;
  int64_t batch_stride;
  int64_t block;
  int64_t type; /* STIG_F32, which also stands for what a function says of itself (complex, int32, uint8); STIG_BF16 */
} stig_tensor;
/* Channel-blocked feature maps may be bfloat16 (the upper half of a float, rounded to nearest, ties to even) where a
 * function says so; everything else is float. */
enum { STIG_F32 = 0, STIG_BF16 = 1 };

/* ---- core.cpp: errors, threads, versions ---- */

STIG_API const char* stig_last_error(void);
STIG_API stig_status stig_set_threads(int32_t threads); /* OpenMP threads for calls from any thread; >= 1 */
STIG_API int32_t stig_get_threads(void);

typedef struct stig_core_info {
  const char* version;   /* of this core */
  const char* isa_level; /* "-v3", "-v4" or "" */
  const char* dnnl_isa;  /* what oneDNN generates code for on this processor */
  int32_t dnnl_major, dnnl_minor, dnnl_patch;
} stig_core_info;
STIG_API stig_status stig_get_core_info(stig_core_info* info);

/* ---- elementwise.cpp ---- */

STIG_API stig_status stig_fill(const stig_tensor* dst, float value);
/* dst = src, between layouts, batch strides and types (float, bfloat16); extents equal. */
STIG_API stig_status stig_copy(const stig_tensor* src, const stig_tensor* dst);
/* dst = scale * src + offset */
STIG_API stig_status stig_affine(const stig_tensor* src, float scale, float offset, const stig_tensor* dst);
/* dst = a + b; b's n may be 1 (broadcast over the batch) */
STIG_API stig_status stig_add(const stig_tensor* a, const stig_tensor* b, const stig_tensor* dst);
/* dst = a * b, same broadcasting */
STIG_API stig_status stig_multiply(const stig_tensor* a, const stig_tensor* b, const stig_tensor* dst);
/* dst[i, ...] = factors[i, 0] * src[i, ...]; planar */
STIG_API stig_status stig_scale_images(const stig_tensor* src, const stig_tensor* factors, const stig_tensor* dst);
/* dst[1, ...] = sum over n of src[n, ...] */
STIG_API stig_status stig_sum_batch(const stig_tensor* src, const stig_tensor* dst);
/* dst[i, j] = src[(i - shift_n) mod n, (j - shift_c) mod c]; planar */
STIG_API stig_status stig_roll(const stig_tensor* src, int64_t shift_n, int64_t shift_c, const stig_tensor* dst);

/* ---- activation.cpp: gradients are written in terms of the result dst ---- */

enum {
  STIG_ACTIVATION_LEAKY_RELU = 0,        /* x > 0 ? x : slope x; ReLU is slope 0 */
  STIG_ACTIVATION_SIGMOID = 1,           /* 1 / (1 + exp(-x)) */
  STIG_ACTIVATION_SYMMETRIC_SIGMOID = 2, /* 2 / (1 + exp(-x)) - 1 */
  STIG_ACTIVATION_UNIT_CLAMP = 3,        /* min(max(x, 0), 1) */
  STIG_ACTIVATION_EIGHT_BIT = 4          /* floor(255 min(max(x, 0), 1) + 1/2) / 255; backward: that of the clamp */
};
STIG_API stig_status stig_activation_forward(const stig_tensor* src, int32_t kind, float slope, const stig_tensor* dst);
STIG_API stig_status stig_activation_backward(const stig_tensor* dst, const stig_tensor* diff_dst, int32_t kind,
                                              float slope, const stig_tensor* diff_src);

/* ---- conv2d.cpp: every call into oneDNN's convolution is here ---- */

/* Square stride and padding; weights in the checkpoint's order oc, ic, kh, kw, planar and contiguous. Convolutions
 * run one image at a time, so that an image's result does not depend on its batch. */
typedef struct stig_conv2d_desc {
  int64_t ic, ih, iw, oc, oh, ow, kh, kw, stride, padding;
  int64_t src_block, dst_block; /* layouts of the feature maps: 1 or 16 */
  int32_t with_bias;
  int32_t winograd;           /* 1: use Winograd where oneDNN has it for this shape */
  int32_t bf16;               /* 1: factors rounded to bfloat16, sums in float; forward only, no Winograd */
  int32_t src_type, dst_type; /* STIG_F32; STIG_BF16 with bf16 = 1 */
} stig_conv2d_desc;
typedef struct stig_conv2d stig_conv2d;
enum { STIG_CONV2D_FORWARD = 0, STIG_CONV2D_BACKWARD_DATA = 1, STIG_CONV2D_BACKWARD_WEIGHTS = 2 };
STIG_API stig_status stig_conv2d_create(const stig_conv2d_desc* desc, int32_t direction, stig_conv2d** out);
STIG_API void stig_conv2d_destroy(stig_conv2d* conv);
/* packed_bytes: the library's own form of the weights (0 for BACKWARD_WEIGHTS); scratch_bytes: work area of a call. */
STIG_API stig_status stig_conv2d_sizes(const stig_conv2d* conv, int64_t* packed_bytes, int64_t* scratch_bytes);
STIG_API stig_status stig_conv2d_pack_weights(stig_conv2d* conv, const float* weights, void* packed, void* scratch);
STIG_API stig_status stig_conv2d_forward(stig_conv2d* conv, const stig_tensor* src, const void* packed,
                                         const float* bias /* oc floats, or null */, const stig_tensor* dst,
                                         void* scratch);
STIG_API stig_status stig_conv2d_backward_data(stig_conv2d* conv, const stig_tensor* diff_dst, const void* packed,
                                               const stig_tensor* diff_src, void* scratch);
/* diff_weights (and diff_bias, optional) are overwritten with the sum over the batch */
STIG_API stig_status stig_conv2d_backward_weights(stig_conv2d* conv, const stig_tensor* src,
                                                  const stig_tensor* diff_dst, float* diff_weights, float* diff_bias,
                                                  void* scratch);

/* ---- linear.cpp: src [n, k], weights [o, k], bias [o] optional, dst [n, o] = src weights^T + bias ---- */

STIG_API stig_status stig_linear_forward(const stig_tensor* src, const stig_tensor* weights, const stig_tensor* bias,
                                         const stig_tensor* dst);
STIG_API stig_status stig_linear_backward_data(const stig_tensor* diff_dst, const stig_tensor* weights,
                                               const stig_tensor* diff_src);
STIG_API stig_status stig_linear_backward_weights(const stig_tensor* src, const stig_tensor* diff_dst,
                                                  const stig_tensor* diff_weights, const stig_tensor* diff_bias);

/* ---- normalization.cpp: dst = act((src - mean) / sqrt(variance + eps) * gamma + beta), biased variance; forward also
 * of bfloat16 maps, with statistics and arithmetic in float ---- */

enum {
  STIG_STATISTICS_BATCH = 0,    /* over n, h, w: mean and variance [1, c] */
  STIG_STATISTICS_PER_IMAGE = 1 /* over h, w: mean and variance [n, c] */
};
/* gamma, beta [c] optional; slope: act(v) = v > 0 ? v : slope v (1 = no activation, 0 = ReLU) */
STIG_API stig_status stig_normalization_forward(const stig_tensor* src, const stig_tensor* gamma,
                                                const stig_tensor* beta, int32_t statistics, float eps, float slope,
                                                const stig_tensor* dst, const stig_tensor* mean,
                                                const stig_tensor* variance);
/* diff_gamma, diff_beta optional */
STIG_API stig_status stig_normalization_backward(const stig_tensor* src, const stig_tensor* dst,
                                                 const stig_tensor* diff_dst, const stig_tensor* gamma,
                                                 const stig_tensor* mean, const stig_tensor* variance,
                                                 int32_t statistics, float eps, float slope,
                                                 const stig_tensor* diff_src, const stig_tensor* diff_gamma,
                                                 const stig_tensor* diff_beta);
/* the same formula with given mean and variance: [1, c] (running averages), or [n, c] */
STIG_API stig_status stig_normalization_running(const stig_tensor* src, const stig_tensor* gamma,
                                                const stig_tensor* beta, const stig_tensor* mean,
                                                const stig_tensor* variance, float eps, float slope,
                                                const stig_tensor* dst);
/* running <- (1 - momentum) running + momentum value; variance made unbiased by count / (count - 1), count the number
 * of values behind each statistic. src_* are [g, c]: the g rows are averaged (g > 1 for per-image statistics). */
STIG_API stig_status stig_running_statistics(const stig_tensor* mean, const stig_tensor* variance, int64_t count,
                                             float momentum, const stig_tensor* running_mean,
                                             const stig_tensor* running_var, const stig_tensor* dst_mean,
                                             const stig_tensor* dst_var);

/* ---- resample.cpp ---- */

/* 2x2 maximum, stride 2, h and w even, NaN if one of the four is; also bfloat16 */
STIG_API stig_status stig_max_pool_forward(const stig_tensor* src, const stig_tensor* dst);
/* the gradient goes to the first largest of each window in row-major order */
STIG_API stig_status stig_max_pool_backward(const stig_tensor* src, const stig_tensor* diff_dst,
                                            const stig_tensor* diff_src);
/* 2x2 mean, stride 2, h and w even */
STIG_API stig_status stig_average_pool_forward(const stig_tensor* src, const stig_tensor* dst);
STIG_API stig_status stig_average_pool_backward(const stig_tensor* diff_dst, const stig_tensor* diff_src);
/* factor 2, Keys cubic with a = -0.75, half-pixel centres, indices clamped at the border; forward also bfloat16 */
STIG_API stig_status stig_bicubic_up2_forward(const stig_tensor* src, const stig_tensor* dst);
STIG_API stig_status stig_bicubic_up2_backward(const stig_tensor* diff_dst, const stig_tensor* diff_src);

/* ---- levels.cpp: all planar ---- */

/* A grid [n, c, g, k] of a centred spectrum [n, c, h, w]: in all four quadrants node (i, j) stands at the frequencies
 * |v| = (i + 1/2)/g and |u| = (j + 1/2)/k of the Nyquist frequency; g <= h/2, k <= w/2. dst is the mean of src weighted
 * by bilinear interpolation between the nodes, held beyond the outer ones. */
STIG_API stig_status stig_spectral_levels(const stig_tensor* src, const stig_tensor* dst);
/* dst interpolates the grid src; 0 where v^2 + u^2 <= protected_radius^2 in bins */
STIG_API stig_status stig_spread_levels(const stig_tensor* src, float protected_radius, const stig_tensor* dst);

/* ---- spectrum.cpp: all planar ---- */

enum {
  STIG_SHIFT = 0,        /* roll by floor(n / 2) */
  STIG_INVERSE_SHIFT = 1 /* roll by -floor(n / 2) */
};
/* F = shift(FFT2(shift(src))) per plane, unnormalised; magnitude = log(1 + |F|); phasor = F / |F| (1 where F = 0).
 * phasor (complex) is optional. */
STIG_API stig_status stig_log_spectrum_forward(const stig_tensor* src, const stig_tensor* magnitude,
                                               const stig_tensor* phasor);
/* adjoint of the magnitude; d|F|/dF = 0 where F = 0 */
STIG_API stig_status stig_log_spectrum_backward(const stig_tensor* magnitude, const stig_tensor* phasor,
                                                const stig_tensor* diff_magnitude, const stig_tensor* diff_src);
enum { STIG_IMAGE_MODULUS = 0, STIG_IMAGE_REAL = 1 };
/* z = shift'(IFFT2(inverse_shift((exp(magnitude) - 1) phasor))), 1 / (h w) included; dst = |z| or Re z.
 * final_shift says what shift' is. field (complex, z before the modulus) is optional. */
STIG_API stig_status stig_inverse_spectrum_forward(const stig_tensor* magnitude, const stig_tensor* phasor,
                                                   int32_t component, int32_t final_shift, const stig_tensor* dst,
                                                   const stig_tensor* field);
/* gradient with respect to magnitude; d|z|/dz = 0 where z = 0. field is needed for STIG_IMAGE_MODULUS only. */
STIG_API stig_status stig_inverse_spectrum_backward(const stig_tensor* magnitude, const stig_tensor* phasor,
                                                    const stig_tensor* field, const stig_tensor* diff_dst,
                                                    int32_t component, int32_t final_shift,
                                                    const stig_tensor* diff_magnitude);

/* ---- range.cpp: min-max scaling; extremes per_image over c, h, w ([n]), else over everything ([1]) ---- */

/* dst = scale (src - lo) / (hi - lo) + offset; a constant input gives offset everywhere */
STIG_API stig_status stig_range_normalize_forward(const stig_tensor* src, int32_t per_image, float scale, float offset,
                                                  const stig_tensor* dst, const stig_tensor* lo, const stig_tensor* hi);
/* through lo and hi too: a tie shares the gradient equally */
STIG_API stig_status stig_range_normalize_backward(const stig_tensor* src, const stig_tensor* lo, const stig_tensor* hi,
                                                   const stig_tensor* diff_dst, int32_t per_image, float scale,
                                                   const stig_tensor* diff_src);
/* the inverse: dst = (src - offset) / scale (hi - lo) + lo, lo and hi [n] or [1], which are constants */
STIG_API stig_status stig_range_denormalize_forward(const stig_tensor* src, const stig_tensor* lo,
                                                    const stig_tensor* hi, float scale, float offset,
                                                    const stig_tensor* dst);
STIG_API stig_status stig_range_denormalize_backward(const stig_tensor* diff_dst, const stig_tensor* lo,
                                                     const stig_tensor* hi, float scale, const stig_tensor* diff_src);

/* ---- ring_profile.cpp: mean over rings around the centre of the channel-weighted spectrum ---- */

enum {
  STIG_RINGS_RECT = 0,  /* r = max(|y - h/2|, |x - w/2|), r = 0 .. max(h, w)/2 */
  STIG_RINGS_RADIAL = 1 /* r = floor(sqrt((y - h/2)^2 + (x - w/2)^2)) */
};
/* 0 for an extent below 1 or an unknown kind */
STIG_API int64_t stig_ring_count(int64_t h, int64_t w, int32_t kind);
/* channel_weights: c floats. dst [n, rings] */
STIG_API stig_status stig_ring_profile_forward(const stig_tensor* src, const float* channel_weights, int32_t kind,
                                               const stig_tensor* dst);
STIG_API stig_status stig_ring_profile_backward(const stig_tensor* diff_dst, const float* channel_weights, int32_t kind,
                                                const stig_tensor* diff_src);

/* ---- losses.cpp: a loss is a scalar; backward multiplies by the scalar diff_loss ---- */

/* mean((src - target)^2) */
STIG_API stig_status stig_mse_forward(const stig_tensor* src, float target, const stig_tensor* loss);
STIG_API stig_status stig_mse_backward(const stig_tensor* src, float target, const stig_tensor* diff_loss,
                                       const stig_tensor* diff_src);
/* sqrt(mean((a - b)^2)) over rows and columns h/2 - radius .. h/2 + radius - 1; gradient 0 where the loss is 0 */
STIG_API stig_status stig_low_frequency_forward(const stig_tensor* a, const stig_tensor* b, int64_t radius,
                                                const stig_tensor* loss);
/* diff_a; diff_b is its negative */
STIG_API stig_status stig_low_frequency_backward(const stig_tensor* a, const stig_tensor* b, const stig_tensor* loss,
                                                 const stig_tensor* diff_loss, int64_t radius,
                                                 const stig_tensor* diff_a);
/* mean structural similarity; Gaussian window 35, sigma 1.5, zero padding, C1 = 1e-4, C2 = 9e-4.
 * work: stig_ssim_work_bytes bytes aligned to 8, which hold nothing between calls */
STIG_API int64_t stig_ssim_work_bytes(int64_t n, int64_t c, int64_t h, int64_t w);
STIG_API stig_status stig_ssim_forward(const stig_tensor* a, const stig_tensor* b, const stig_tensor* value,
                                       void* work);
/* gradient with respect to b (the function is symmetric) */
STIG_API stig_status stig_ssim_backward(const stig_tensor* a, const stig_tensor* b, const stig_tensor* diff_value,
                                        const stig_tensor* diff_b, void* work);

/* mean over rows i of ln(sum_j exp(logits[i, j])) - logits[i, labels[i]]; labels: int32 [n], 0 .. c - 1 */
STIG_API stig_status stig_cross_entropy_forward(const stig_tensor* logits, const stig_tensor* labels,
                                                const stig_tensor* loss);
STIG_API stig_status stig_cross_entropy_backward(const stig_tensor* logits, const stig_tensor* labels,
                                                 const stig_tensor* diff_loss, const stig_tensor* diff_logits);

/* ---- patch_nce.cpp ---- */

/* Philox 4x32-10 keyed Feistel permutation with cycle walking: dst[i] = permutation(i), i < count, of 0 .. extent - 1;
 * key: 2 x 32 bits of seed, counter: step and stream. The same on every executor; the algorithm is spelt out in the
 * file. count <= extent < 2^31 */
STIG_API stig_status stig_sample_positions(const stig_tensor* random /* int32[4]: seed lo, seed hi, step, spare */,
                                           int32_t stream, int64_t extent, const stig_tensor* dst /* int32 [count] */);
/* dst[n count + i, j] = src[n, j, position i] */
STIG_API stig_status stig_gather_positions_forward(const stig_tensor* src, const stig_tensor* positions,
                                                   const stig_tensor* dst);
/* diff_src is zero outside the positions */
STIG_API stig_status stig_gather_positions_backward(const stig_tensor* diff_dst, const stig_tensor* positions,
                                                    const stig_tensor* diff_src);
/* rows: dst = src / (||src|| + eps) */
STIG_API stig_status stig_l2_normalize_forward(const stig_tensor* src, float eps, const stig_tensor* dst);
STIG_API stig_status stig_l2_normalize_backward(const stig_tensor* src, const stig_tensor* diff_dst, float eps,
                                                const stig_tensor* diff_src);
/* query, key [groups p, d]: loss = mean_i cross entropy of [q_i.k_i, q_i.k_j with the diagonal replaced by -10] /
 * temperature against class 0, j within i's group; probability [groups p, p] optional: softmax mass of each negative
 * (its diagonal holds softmax of the positive minus one), kept for the gradient */
STIG_API stig_status stig_patch_nce_forward(const stig_tensor* query, const stig_tensor* key, int64_t groups,
                                            float temperature, const stig_tensor* loss, const stig_tensor* probability);
/* gradient with respect to query; keys are constants */
STIG_API stig_status stig_patch_nce_backward(const stig_tensor* key, const stig_tensor* probability,
                                             const stig_tensor* diff_loss, int64_t groups, float temperature,
                                             const stig_tensor* diff_query);

/* ---- adam.cpp ---- */

/* m <- b1 m + (1-b1) g, v <- b2 v + (1-b2) g^2, w <- w - lr (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps), in place;
 * learning_rate and step (t = 1, 2, ...; float) are scalars in memory; b1 and b2 are double, because 1 - b2 of a
 * float is wrong by 1e-5 of itself. STIG_NOT_FINITE, after all is written, when a gradient or its square, or a weight,
 * is infinite or not a number */
STIG_API stig_status stig_adam(const stig_tensor* weights, const stig_tensor* gradient, const stig_tensor* first_moment,
                               const stig_tensor* second_moment, const stig_tensor* learning_rate,
                               const stig_tensor* step, double beta1, double beta2, double eps);

/* ---- sgd.cpp ---- */

/* velocity <- momentum velocity + gradient, weights <- weights - learning_rate velocity, in place; learning_rate is a
 * scalar in memory. A velocity that starts at zero makes the first step a plain one. */
STIG_API stig_status stig_sgd(const stig_tensor* weights, const stig_tensor* gradient, const stig_tensor* velocity,
                              const stig_tensor* learning_rate, float momentum);

/* ---- pixels.cpp ---- */

/* src: uint8 [n, h, w, c] interleaved (described by extents n, c, h, w); dst planar float = src / 255 */
STIG_API stig_status stig_unpack_pixels(const stig_tensor* src, const stig_tensor* dst);
enum { STIG_ROUND_NEAREST = 0, STIG_ROUND_DOWN = 1 };
/* dst uint8 interleaved = round(255 clamp(src, 0, 1)); a tie goes to the even value, NaN to 0 */
STIG_API stig_status stig_pack_pixels(const stig_tensor* src, int32_t rounding, const stig_tensor* dst);

/* ---- inflate.cpp ---- */

/* dst = the content of a zlib stream (RFC 1950) that src holds exactly, with nothing before or after it. Anything but
 * a sound stream of exactly dst_bytes, its checksum included, is STIG_INVALID_ARGUMENT; dst is then undefined. Sizes
 * are 1 to 2^32 - 1 bytes. */
STIG_API stig_status stig_inflate(const void* src, int64_t src_bytes, void* dst, int64_t dst_bytes);

#ifdef __cplusplus
}
#endif
#endif
