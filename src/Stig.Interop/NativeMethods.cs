using System.Runtime.InteropServices;

namespace Stig.Interop;

/// <summary>Mirror of <c>stig_core_info</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct RawCoreInfo
{
    public byte* Version;
    public byte* IsaLevel;
    public byte* DnnlIsa;
    public int DnnlMajor;
    public int DnnlMinor;
    public int DnnlPatch;
}

/// <summary>Mirror of <c>stig_conv2d_desc</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeConv2dDesc
{
    public long InputChannels;
    public long InputHeight;
    public long InputWidth;
    public long OutputChannels;
    public long OutputHeight;
    public long OutputWidth;
    public long KernelHeight;
    public long KernelWidth;
    public long Stride;
    public long Padding;
    public long SourceBlock;
    public long DestinationBlock;
    public int WithBias;
    public int Winograd;
    public int Bf16;
    public int SourceType;
    public int DestinationType;
}

/// <summary>
/// The raw declarations of native/include/stig.h, one to one and in its order; the meaning of every call stands there.
/// <see cref="NativeCore.Check"/> turns a status into an exception.
/// </summary>
internal static unsafe partial class NativeMethods
{
    private const string Core = NativeCore.LibraryName;

    // The resolver must stand before the first call; a static constructor runs exactly then.
    static NativeMethods() => NativeResolver.Register();

    /// <summary>The C library's: the runtime's own environment is not that of native code.</summary>
    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int setenv(string name, string value, int overwrite);

    [LibraryImport(Core)]
    internal static partial byte* stig_last_error();

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_set_threads(int threads);

    [LibraryImport(Core)]
    internal static partial int stig_get_threads();

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_get_core_info(RawCoreInfo* info);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_fill(NativeTensor* dst, float value);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_copy(NativeTensor* src, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_affine(NativeTensor* src, float scale, float offset, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_add(NativeTensor* a, NativeTensor* b, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_multiply(NativeTensor* a, NativeTensor* b, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_scale_images(NativeTensor* src, NativeTensor* factors, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_sum_batch(NativeTensor* src, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_roll(NativeTensor* src, long shiftN, long shiftC, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_activation_forward(NativeTensor* src, int kind, float slope, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_activation_backward(
        NativeTensor* dst, NativeTensor* diffDst, int kind, float slope, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_conv2d_create(NativeConv2dDesc* desc, int direction, nint* result);

    [LibraryImport(Core)]
    internal static partial void stig_conv2d_destroy(nint conv);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_conv2d_sizes(nint conv, long* packedBytes, long* scratchBytes);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_conv2d_pack_weights(nint conv, float* weights, void* packed, void* scratch);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_conv2d_forward(
        nint conv, NativeTensor* src, void* packed, float* bias, NativeTensor* dst, void* scratch);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_conv2d_backward_data(
        nint conv, NativeTensor* diffDst, void* packed, NativeTensor* diffSrc, void* scratch);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_conv2d_backward_weights(
        nint conv, NativeTensor* src, NativeTensor* diffDst, float* diffWeights, float* diffBias, void* scratch);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_linear_forward(
        NativeTensor* src, NativeTensor* weights, NativeTensor* bias, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_linear_backward_data(NativeTensor* diffDst, NativeTensor* weights, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_linear_backward_weights(
        NativeTensor* src, NativeTensor* diffDst, NativeTensor* diffWeights, NativeTensor* diffBias);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_normalization_forward(
        NativeTensor* src, NativeTensor* gamma, NativeTensor* beta, int statistics, float eps, float slope,
        NativeTensor* dst, NativeTensor* mean, NativeTensor* variance);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_normalization_backward(
        NativeTensor* src, NativeTensor* dst, NativeTensor* diffDst, NativeTensor* gamma, NativeTensor* mean,
        NativeTensor* variance, int statistics, float eps, float slope, NativeTensor* diffSrc,
        NativeTensor* diffGamma, NativeTensor* diffBeta);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_normalization_running(
        NativeTensor* src, NativeTensor* gamma, NativeTensor* beta, NativeTensor* mean, NativeTensor* variance,
        float eps, float slope, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_running_statistics(
        NativeTensor* mean, NativeTensor* variance, long count, float momentum, NativeTensor* runningMean,
        NativeTensor* runningVar, NativeTensor* dstMean, NativeTensor* dstVar);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_max_pool_forward(NativeTensor* src, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_max_pool_backward(NativeTensor* src, NativeTensor* diffDst, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_average_pool_forward(NativeTensor* src, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_average_pool_backward(NativeTensor* diffDst, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_bicubic_up2_forward(NativeTensor* src, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_bicubic_up2_backward(NativeTensor* diffDst, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_spectral_levels(NativeTensor* src, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_spread_levels(NativeTensor* src, float protectedRadius, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_log_spectrum_forward(NativeTensor* src, NativeTensor* magnitude, NativeTensor* phasor);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_log_spectrum_backward(
        NativeTensor* magnitude, NativeTensor* phasor, NativeTensor* diffMagnitude, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_inverse_spectrum_forward(
        NativeTensor* magnitude, NativeTensor* phasor, int component, int finalShift, NativeTensor* dst,
        NativeTensor* field);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_inverse_spectrum_backward(
        NativeTensor* magnitude, NativeTensor* phasor, NativeTensor* field, NativeTensor* diffDst, int component,
        int finalShift, NativeTensor* diffMagnitude);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_range_normalize_forward(
        NativeTensor* src, int perImage, float scale, float offset, NativeTensor* dst, NativeTensor* lo,
        NativeTensor* hi);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_range_normalize_backward(
        NativeTensor* src, NativeTensor* lo, NativeTensor* hi, NativeTensor* diffDst, int perImage, float scale,
        NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_range_denormalize_forward(
        NativeTensor* src, NativeTensor* lo, NativeTensor* hi, float scale, float offset, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_range_denormalize_backward(
        NativeTensor* diffDst, NativeTensor* lo, NativeTensor* hi, float scale, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial long stig_ring_count(long h, long w, int kind);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_ring_profile_forward(NativeTensor* src, float* channelWeights, int kind, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_ring_profile_backward(
        NativeTensor* diffDst, float* channelWeights, int kind, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_mse_forward(NativeTensor* src, float target, NativeTensor* loss);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_mse_backward(
        NativeTensor* src, float target, NativeTensor* diffLoss, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_low_frequency_forward(NativeTensor* a, NativeTensor* b, long radius, NativeTensor* loss);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_low_frequency_backward(
        NativeTensor* a, NativeTensor* b, NativeTensor* loss, NativeTensor* diffLoss, long radius,
        NativeTensor* diffA);

    [LibraryImport(Core)]
    internal static partial long stig_ssim_work_bytes(long n, long c, long h, long w);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_ssim_forward(NativeTensor* a, NativeTensor* b, NativeTensor* value, void* work);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_ssim_backward(
        NativeTensor* a, NativeTensor* b, NativeTensor* diffValue, NativeTensor* diffB, void* work);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_cross_entropy_forward(NativeTensor* logits, NativeTensor* labels, NativeTensor* loss);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_cross_entropy_backward(
        NativeTensor* logits, NativeTensor* labels, NativeTensor* diffLoss, NativeTensor* diffLogits);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_sample_positions(NativeTensor* random, int stream, long extent, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_gather_positions_forward(NativeTensor* src, NativeTensor* positions, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_gather_positions_backward(
        NativeTensor* diffDst, NativeTensor* positions, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_l2_normalize_forward(NativeTensor* src, float eps, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_l2_normalize_backward(
        NativeTensor* src, NativeTensor* diffDst, float eps, NativeTensor* diffSrc);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_patch_nce_forward(
        NativeTensor* query, NativeTensor* key, long groups, float temperature, NativeTensor* loss,
        NativeTensor* probability);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_patch_nce_backward(
        NativeTensor* key, NativeTensor* probability, NativeTensor* diffLoss, long groups, float temperature,
        NativeTensor* diffQuery);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_adam(
        NativeTensor* weights, NativeTensor* gradient, NativeTensor* firstMoment, NativeTensor* secondMoment,
        NativeTensor* learningRate, NativeTensor* step, double beta1, double beta2, double eps);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_sgd(
        NativeTensor* weights, NativeTensor* gradient, NativeTensor* velocity, NativeTensor* learningRate, float momentum);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_unpack_pixels(NativeTensor* src, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_pack_pixels(NativeTensor* src, int rounding, NativeTensor* dst);

    [LibraryImport(Core)]
    internal static partial CoreStatus stig_inflate(byte* src, long srcBytes, byte* dst, long dstBytes);
}
