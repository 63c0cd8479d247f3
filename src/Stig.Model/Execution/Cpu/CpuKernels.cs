using Stig.Interop;
using Stig.Model.Graphs;
using Stig.Model.Operations;
using static Stig.Interop.NativeMethods;

namespace Stig.Model.Execution.Cpu;

/// <summary>The registry of CPU kernels: one entry an operation, saying which call of the native core carries it out.</summary>
internal static unsafe class CpuKernels
{
    private static readonly Dictionary<Type, Func<CpuLowering, Operation, IEnumerable<CpuStep>>> Table = [];

    static CpuKernels()
    {
        Register<Fill>((io, op) =>
        {
            NativeTensor* y = io.Out();
            return () => stig_fill(y, op.Constant);
        });
        Register<Affine>((io, op) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_affine(x, op.Scale, op.Offset, y);
        });
        Register<Add>((io, _) =>
        {
            NativeTensor* a = io.In(0), b = io.In(1), y = io.Out();
            return () => stig_add(a, b, y);
        });
        Register<Multiply>((io, _) =>
        {
            NativeTensor* a = io.In(0), b = io.In(1), y = io.Out();
            return () => stig_multiply(a, b, y);
        });
        Register<ScaleImages>((io, _) =>
        {
            NativeTensor* x = io.In(0), f = io.In(1), y = io.Out();
            return () => stig_scale_images(x, f, y);
        });
        Register<SumBatch>((io, _) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_sum_batch(x, y);
        });
        Register<Roll>((io, op) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_roll(x, op.Images, op.Channels, y);
        });

        RegisterMany<Concat>(SelectionKernels.Concat);
        RegisterMany<Slice>(SelectionKernels.View);
        RegisterMany<Relayout>(SelectionKernels.View);
        RegisterMany<Embed>(SelectionKernels.Embed);
        RegisterMany<Flatten>(SelectionKernels.Flatten);
        Register<Unflatten>(SelectionKernels.Unflatten);

        Register<Activation>((io, op) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_activation_forward(x, (int)op.Kind, op.Slope, y);
        });
        Register<ActivationBackward>((io, op) =>
        {
            NativeTensor* y = io.In(0), dy = io.In(1), dx = io.Out();
            return () => stig_activation_backward(y, dy, (int)op.Kind, op.Slope, dx);
        });

        Register<Conv2d>(Conv2dKernels.Forward);
        Register<Conv2dBackwardData>(Conv2dKernels.BackwardData);
        Register<Conv2dBackwardWeights>(Conv2dKernels.BackwardWeights);

        Register<Linear>((io, _) =>
        {
            NativeTensor* x = io.In(0), w = io.In(1), b = io.In(2), y = io.Out();
            return () => stig_linear_forward(x, w, b, y);
        });
        Register<LinearBackwardData>((io, _) =>
        {
            NativeTensor* dy = io.In(0), w = io.In(1), dx = io.Out();
            return () => stig_linear_backward_data(dy, w, dx);
        });
        Register<LinearBackwardWeights>((io, _) =>
        {
            NativeTensor* x = io.In(0), dy = io.In(1), dw = io.Out(0), db = io.Out(1);
            return () => stig_linear_backward_weights(x, dy, dw, db);
        });

        Register<Normalization>((io, op) =>
        {
            NativeTensor* x = io.In(0), g = io.OptionalIn(1), b = io.OptionalIn(2), y = io.Out(0), m = io.Out(1), v = io.Out(2);
            return () => stig_normalization_forward(x, g, b, (int)op.Statistics, op.Epsilon, op.Slope, y, m, v);
        });
        Register<NormalizationBackward>((io, op) =>
        {
            NativeTensor* x = io.In(0), y = io.In(1), dy = io.In(2),
                m = io.In(3), v = io.In(4), g = io.OptionalIn(5), dx = io.Out(0), dg = io.OptionalOut(1), db = io.OptionalOut(2);
            return () => stig_normalization_backward(x, y, dy, g, m, v, (int)op.Statistics, op.Epsilon, op.Slope, dx, dg, db);
        });
        Register<RunningNormalization>((io, op) =>
        {
            NativeTensor* x = io.In(0), g = io.In(1), b = io.In(2), m = io.In(3), v = io.In(4), y = io.Out();
            return () => stig_normalization_running(x, g, b, m, v, op.Epsilon, op.Slope, y);
        });
        Register<RunningStatistics>((io, op) =>
        {
            NativeTensor* m = io.In(0), v = io.In(1), rm = io.In(2), rv = io.In(3), m2 = io.Out(0), v2 = io.Out(1);
            return () => stig_running_statistics(m, v, op.Count, op.Momentum, rm, rv, m2, v2);
        });

        Register<MaxPool2x2>((io, _) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_max_pool_forward(x, y);
        });
        Register<MaxPool2x2Backward>((io, _) =>
        {
            NativeTensor* x = io.In(0), dy = io.In(1), dx = io.Out();
            return () => stig_max_pool_backward(x, dy, dx);
        });
        Register<AveragePool2x2>((io, _) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_average_pool_forward(x, y);
        });
        Register<AveragePool2x2Backward>((io, _) =>
        {
            NativeTensor* dy = io.In(0), dx = io.Out();
            return () => stig_average_pool_backward(dy, dx);
        });
        Register<BicubicUp2>((io, _) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_bicubic_up2_forward(x, y);
        });
        Register<BicubicUp2Backward>((io, _) =>
        {
            NativeTensor* dy = io.In(0), dx = io.Out();
            return () => stig_bicubic_up2_backward(dy, dx);
        });

        Register<SpectralLevels>((io, _) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_spectral_levels(x, y);
        });
        Register<SpreadLevels>((io, op) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_spread_levels(x, op.ProtectedRadius, y);
        });

        Register<LogSpectrum>((io, _) =>
        {
            NativeTensor* x = io.In(0), m = io.Out(0), p = io.Out(1);
            return () => stig_log_spectrum_forward(x, m, p);
        });
        Register<LogSpectrumBackward>((io, _) =>
        {
            NativeTensor* m = io.In(0), p = io.In(1), dm = io.In(2), dx = io.Out();
            return () => stig_log_spectrum_backward(m, p, dm, dx);
        });
        Register<InverseSpectrum>((io, op) =>
        {
            NativeTensor* m = io.In(0), p = io.In(1), x = io.Out(0), z = io.Out(1);
            return () => stig_inverse_spectrum_forward(m, p, (int)op.Component, (int)op.FinalShift, x, z);
        });
        Register<InverseSpectrumBackward>((io, op) =>
        {
            NativeTensor* m = io.In(0), p = io.In(1), dx = io.In(2), z = io.OptionalIn(3), dm = io.Out();
            return () => stig_inverse_spectrum_backward(m, p, z, dx, (int)op.Component, (int)op.FinalShift, dm);
        });

        Register<RangeNormalize>((io, op) =>
        {
            NativeTensor* x = io.In(0), y = io.Out(0), lo = io.Out(1), hi = io.Out(2);
            return () => stig_range_normalize_forward(x, op.PerImage ? 1 : 0, op.Scale, op.Offset, y, lo, hi);
        });
        Register<RangeNormalizeBackward>((io, op) =>
        {
            NativeTensor* x = io.In(0), lo = io.In(1), hi = io.In(2), dy = io.In(3), dx = io.Out();
            return () => stig_range_normalize_backward(x, lo, hi, dy, op.PerImage ? 1 : 0, op.Scale, dx);
        });
        Register<RangeDenormalize>((io, op) =>
        {
            NativeTensor* x = io.In(0), lo = io.In(1), hi = io.In(2), y = io.Out();
            return () => stig_range_denormalize_forward(x, lo, hi, op.Scale, op.Offset, y);
        });
        Register<RangeDenormalizeBackward>((io, op) =>
        {
            NativeTensor* dy = io.In(0), lo = io.In(1), hi = io.In(2), dx = io.Out();
            return () => stig_range_denormalize_backward(dy, lo, hi, op.Scale, dx);
        });

        Register<RingProfile>((io, op) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            float* w = Constants(io, op.Weights);
            return () => stig_ring_profile_forward(x, w, (int)op.Kind, y);
        });
        Register<RingProfileBackward>((io, op) =>
        {
            NativeTensor* dy = io.In(0), dx = io.Out();
            float* w = Constants(io, op.Weights);
            return () => stig_ring_profile_backward(dy, w, (int)op.Kind, dx);
        });

        Register<MeanSquaredError>((io, op) =>
        {
            NativeTensor* x = io.In(0), l = io.Out();
            return () => stig_mse_forward(x, op.Target, l);
        });
        Register<MeanSquaredErrorBackward>((io, op) =>
        {
            NativeTensor* x = io.In(0), dl = io.In(1), dx = io.Out();
            return () => stig_mse_backward(x, op.Target, dl, dx);
        });
        Register<LowFrequencyDistance>((io, op) =>
        {
            NativeTensor* a = io.In(0), b = io.In(1), l = io.Out();
            return () => stig_low_frequency_forward(a, b, op.Radius, l);
        });
        Register<LowFrequencyDistanceBackward>((io, op) =>
        {
            NativeTensor* a = io.In(0), b = io.In(1), l = io.In(2), dl = io.In(3), da = io.Out();
            return () => stig_low_frequency_backward(a, b, l, dl, op.Radius, da);
        });
        Register<StructuralSimilarity>((io, _) =>
        {
            NativeTensor* a = io.In(0), b = io.In(1), y = io.Out();
            NeedSsimScratch(io, a);
            return () => stig_ssim_forward(a, b, y, io.Program.Scratch);
        });
        Register<StructuralSimilarityBackward>((io, _) =>
        {
            NativeTensor* a = io.In(0), b = io.In(1), dy = io.In(2), db = io.Out();
            NeedSsimScratch(io, a);
            return () => stig_ssim_backward(a, b, dy, db, io.Program.Scratch);
        });

        Register<CrossEntropy>((io, _) =>
        {
            NativeTensor* z = io.In(0), t = io.In(1), l = io.Out();
            return () => stig_cross_entropy_forward(z, t, l);
        });
        Register<CrossEntropyBackward>((io, _) =>
        {
            NativeTensor* z = io.In(0), t = io.In(1), dl = io.In(2), dz = io.Out();
            return () => stig_cross_entropy_backward(z, t, dl, dz);
        });

        Register<SamplePositions>((io, op) =>
        {
            NativeTensor* r = io.In(0), y = io.Out();
            return () => stig_sample_positions(r, op.Stream, op.Extent, y);
        });
        Register<GatherPositions>((io, _) =>
        {
            NativeTensor* x = io.In(0), p = io.In(1), y = io.Out();
            return () => stig_gather_positions_forward(x, p, y);
        });
        Register<GatherPositionsBackward>((io, _) =>
        {
            NativeTensor* dy = io.In(0), p = io.In(1), dx = io.Out();
            return () => stig_gather_positions_backward(dy, p, dx);
        });
        Register<L2Normalize>((io, op) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_l2_normalize_forward(x, op.Epsilon, y);
        });
        Register<L2NormalizeBackward>((io, op) =>
        {
            NativeTensor* x = io.In(0), dy = io.In(1), dx = io.Out();
            return () => stig_l2_normalize_backward(x, dy, op.Epsilon, dx);
        });
        Register<PatchNce>((io, op) =>
        {
            NativeTensor* q = io.In(0), k = io.In(1), l = io.Out(0), p = io.Out(1);
            return () => stig_patch_nce_forward(q, k, op.Groups, op.Temperature, l, p);
        });
        Register<PatchNceBackward>((io, op) =>
        {
            NativeTensor* k = io.In(0), p = io.In(1), dl = io.In(2), dq = io.Out();
            return () => stig_patch_nce_backward(k, p, dl, op.Groups, op.Temperature, dq);
        });

        Register<Adam>(AdamKernel);
        Register<Sgd>(SgdKernel);
        Register<UnpackPixels>((io, _) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_unpack_pixels(x, y);
        });
        Register<PackPixels>((io, op) =>
        {
            NativeTensor* x = io.In(0), y = io.Out();
            return () => stig_pack_pixels(x, (int)op.Rounding, y);
        });
    }

    /// <summary>Operations that have a CPU kernel.</summary>
    public static IReadOnlyCollection<Type> Operations => Table.Keys;

    /// <summary>Whether an operation's kernel takes bfloat16 feature maps: those of the generator's forward pass.</summary>
    public static bool TakesBf16(Operation operation) =>
        operation is Conv2d or Normalization or RunningNormalization or MaxPool2x2 or BicubicUp2 or Concat or Slice or Relayout;

    /// <summary>The kernel calls of the node at hand; none when its result is in place already.</summary>
    public static IEnumerable<CpuStep> Lower(CpuLowering lowering)
    {
        Operation operation = lowering.Node.Operation;
        return Table.TryGetValue(operation.GetType(), out Func<CpuLowering, Operation, IEnumerable<CpuStep>>? kernel)
            ? [.. kernel(lowering, operation)]
            : throw new GraphException($"The CPU executor has no kernel for {operation.Name} ({lowering.Node.Name}).");
    }

    private static void Register<T>(Func<CpuLowering, T, CpuStep> lower) where T : Operation =>
        Table.Add(typeof(T), (lowering, operation) => [lower(lowering, (T)operation)]);

    private static void RegisterMany<T>(Func<CpuLowering, T, IEnumerable<CpuStep>> lower) where T : Operation =>
        Table.Add(typeof(T), (lowering, operation) => lower(lowering, (T)operation));

    private static CpuStep AdamKernel(CpuLowering io, Adam operation)
    {
        NativeTensor* w = io.In(0), g = io.In(1), m = io.In(2), v = io.In(3), lr = io.In(4), t = io.In(5);
        CpuTensorStore.Entry weights = io.Program.Entry(io.Node.Inputs[0]);
        return () =>
        {
            weights.Version++;
            return stig_adam(w, g, m, v, lr, t, operation.Beta1, operation.Beta2, operation.Epsilon);
        };
    }

    private static CpuStep SgdKernel(CpuLowering io, Sgd operation)
    {
        NativeTensor* w = io.In(0), g = io.In(1), v = io.In(2), lr = io.In(3);
        CpuTensorStore.Entry weights = io.Program.Entry(io.Node.Inputs[0]);
        return () =>
        {
            weights.Version++;
            return stig_sgd(w, g, v, lr, operation.Momentum);
        };
    }

    private static void NeedSsimScratch(CpuLowering io, NativeTensor* image) =>
        io.NeedScratch(stig_ssim_work_bytes(image->N, image->C, image->H, image->W));

    private static float* Constants(CpuLowering io, ChannelWeights weights)
    {
        var values = (float*)io.Program.Own(new NativeBuffer(weights.Count * sizeof(float))).Pointer;
        weights.Span.CopyTo(new Span<float>(values, weights.Count));
        return values;
    }
}
