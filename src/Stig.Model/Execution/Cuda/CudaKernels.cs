using Stig.Interop.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Execution.Cuda;

/// <summary>
/// The registry of CUDA kernels: one line an operation. Parameters of the entries: docs/cuda-kernels.md. Operations of training have none
/// yet.
/// </summary>
internal static class CudaKernels
{
    // Pixels that a block of the normalisation's statistics takes: it decides the order of summation, so it is the same for every batch.
    private const int StatisticsChunk = 1024;
    private const int ApplyChunk = 256;
    private const long ExtremesPart = 16384;

    private static readonly Dictionary<Type, Func<CudaLowering, Operation, IEnumerable<Action>>> Table = [];

    static CudaKernels()
    {
        Register<Fill>((io, op) => [Rows("fill", io, io.Out(), op.Constant)]);
        Register<Affine>((io, op) => [Rows("affine", io, io.In(0), io.Out(), op.Scale, op.Offset)]);
        Register<Add>((io, _) => [Binary("add", io)]);
        Register<Multiply>((io, _) => [Binary("multiply", io)]);
        Register<Roll>((io, op) => [RollImages(io, op)]);
        Register<Concat>(Join);
        Register<Slice>(Cut);
        Register<Relayout>(Cut);
        Register<Activation>((io, op) => [Rows("activation", io, io.In(0), io.Out(), (int)op.Kind, op.Slope)]);
        Register<Conv2d>(CudaConvolution.Forward);
        Register<Normalization>(Normalize);
        Register<RunningNormalization>((io, op) => [ApplyNormalization(io, io.In(1).Address, io.In(2).Address, io.In(3).Address, io.In(4).Address, 1, op.Epsilon, op.Slope)]);
        Register<MaxPool2x2>((io, _) => [Resample("max_pool", io, io.Out().Shape)]);
        Register<BicubicUp2>((io, _) => [Resample("bicubic_up2", io, io.In(0).Shape)]);
        Register<LogSpectrum>(CudaSpectrum.Forward);
        Register<InverseSpectrum>(CudaSpectrum.Inverse);
        Register<ActivatedSum>((io, op) => [SumActivated(io, op)]);
        Register<RangeNormalize>((io, op) => NormalizeRange(io, op.PerImage, (lo, hi) => ScaleRange("range_normalize_f32", io, lo, hi, op.PerImage, op.Scale, op.Offset)));
        Register<RangeNormalizeToFeatures>((io, op) => NormalizeRange(io, op.PerImage, (lo, hi) => ScaleRangeToFeatures(io, lo, hi, op)));
        Register<RangeDenormalize>((io, op) => [ScaleRange("range_denormalize_f32", io, io.In(1).Address, io.In(2).Address, io.In(1).Shape.N > 1, op.Scale, op.Offset)]);
        Register<RingProfile>((io, op) => [Profile(io, op)]);
        Register<UnpackPixels>((io, _) => [Pixels("unpack_pixels", io)]);
        Register<PackPixels>((io, op) => [Pixels("pack_pixels", io, (int)op.Rounding)]);
    }

    /// <summary>Whether there is a kernel for a node: what works on channels takes feature maps only, as networks give them.</summary>
    public static bool CanRun(Node node) =>
        Table.ContainsKey(node.Operation.GetType())
        && (node.Operation is not (Normalization or RunningNormalization or MaxPool2x2 or BicubicUp2)
            || node.Inputs[0].Type.Layout == TensorLayout.FeatureMap);

    /// <summary>What the node at hand queues; nothing when its result is in place already.</summary>
    public static IEnumerable<Action> Lower(CudaLowering lowering)
    {
        Operation operation = lowering.Node.Operation;
        return CanRun(lowering.Node)
            ? [.. Table[operation.GetType()](lowering, operation)]
            : throw new GraphException($"The CUDA executor has no kernel for {lowering.Node}; use the CPU for this program.");
    }

    /// <summary>A feature map as a contiguous plain float32 tensor at the given address.</summary>
    internal static Action ToPlain(CudaExecutor executor, CudaView features, ulong destination)
    {
        Shape shape = features.Shape;
        return KernelCall.ForItems(executor, "relayout_to_planar" + features.Suffix, shape.N * features.Pixels * Vectors(shape.C, features.ElementSize))
            .With(features.Address).With(destination).With((long)shape.N).With((long)shape.C).With(features.Pixels).With(features.Stride)
            .With(shape.C * features.Pixels).Queue;
    }

    /// <summary>A plain tensor as a feature map of the given pixel stride and number of channels, the further ones zero.</summary>
    internal static KernelCall ToFeatures(CudaExecutor executor, CudaView plain, ulong destination, int elementSize, long stride, int channels) =>
        KernelCall.ForItems(executor, "relayout_to_features" + (elementSize == 2 ? "_bf16" : "_f32"), plain.Shape.N * plain.Pixels * Vectors(channels, elementSize))
            .With(plain.Address).With(destination).With((long)plain.Shape.N).With((long)plain.Shape.C).With(plain.Pixels).With(plain.Stride)
            .With(stride).With((long)channels);

    /// <summary>The rows of a value (pixels of a feature map, images of a plain tensor), the given stride apart.</summary>
    internal static KernelCall CopyRows(CudaExecutor executor, CudaView src, ulong destination, long stride) =>
        KernelCall.ForItems(executor, "copy" + src.Suffix, src.Rows * Vectors(src.RowLength, src.ElementSize))
            .With(src.Address).With(destination).With(src.Rows).With(src.RowLength).With(src.Stride).With(stride);

    internal static long Vectors(long length, int elementSize) => (length * elementSize + 15) / 16;

    private static void Register<T>(Func<CudaLowering, T, IEnumerable<Action>> lower) where T : Operation =>
        Table.Add(typeof(T), (lowering, operation) => lower(lowering, (T)operation));

    private static void Register<T>(Func<CudaLowering, Operation, IEnumerable<Action>> lower, int _ = 0) where T : Operation =>
        Table.Add(typeof(T), lower);

    private static Action Rows(string entry, CudaLowering io, CudaView dst, float value) =>
        KernelCall.ForItems(io.Executor, entry + dst.Suffix, dst.Rows * Vectors(dst.RowLength, dst.ElementSize))
            .With(dst.Address).With(dst.Rows).With(dst.RowLength).With(dst.Stride).With(value).Queue;

    private static Action Rows<T>(string entry, CudaLowering io, CudaView src, CudaView dst, T first, float second) where T : unmanaged =>
        KernelCall.ForItems(io.Executor, entry + dst.Suffix, dst.Rows * Vectors(dst.RowLength, dst.ElementSize))
            .With(src.Address).With(dst.Address).With(dst.Rows).With(dst.RowLength).With(src.Stride).With(dst.Stride).With(first).With(second).Queue;

    private static Action Copy(CudaLowering io, CudaView src, CudaView dst)
    {
        if (src.IsFeatures == dst.IsFeatures)
        {
            if (src.ElementSize > 4)
            {
                // Complex values are copied as pairs of floats.
                return KernelCall.ForItems(io.Executor, "copy_f32", dst.Rows * Vectors(dst.RowLength, dst.ElementSize))
                    .With(src.Address).With(dst.Address).With(dst.Rows).With(2 * dst.RowLength).With(2 * src.Stride).With(2 * dst.Stride).Queue;
            }

            return CopyRows(io.Executor, src, dst.Address, dst.Stride).Queue;
        }

        if (dst.IsFeatures)
        {
            return ToFeatures(io.Executor, src, dst.Address, dst.ElementSize, dst.Stride, dst.Room).Queue;
        }

        return KernelCall.ForItems(io.Executor, "relayout_to_planar" + src.Suffix, src.Rows * Vectors(src.Shape.C, src.ElementSize))
            .With(src.Address).With(dst.Address).With((long)src.Shape.N).With((long)src.Shape.C).With(src.Pixels).With(src.Stride).With(dst.Stride).Queue;
    }

    private static Action Binary(string entry, CudaLowering io)
    {
        CudaView a = io.In(0);
        CudaView b = io.In(1);
        CudaView dst = io.Out();
        return KernelCall.ForItems(io.Executor, entry + dst.Suffix, dst.Rows * Vectors(dst.RowLength, dst.ElementSize))
            .With(a.Address).With(b.Address).With(dst.Address).With(a.Rows).With(b.Rows).With(a.RowLength)
            .With(a.Stride).With(b.Stride).With(dst.Stride).Queue;
    }

    private static Action SumActivated(CudaLowering io, ActivatedSum operation)
    {
        CudaView a = io.In(0);
        CudaView b = io.In(1);
        CudaView dst = io.Out();
        return KernelCall.ForItems(io.Executor, "activated_sum" + dst.Suffix, dst.Rows * Vectors(dst.RowLength, dst.ElementSize))
            .With(a.Address).With(b.Address).With(dst.Address).With(a.Rows).With(b.Rows).With(a.RowLength).With(a.Stride).With(b.Stride).With(dst.Stride)
            .With((int)(operation.Inner ?? 0)).With(operation.Scale).With(operation.Offset).With(operation.Slope).Queue;
    }

    private static Action RollImages(CudaLowering io, Roll operation)
    {
        CudaView src = io.In(0);
        CudaView dst = io.Out();
        Shape shape = src.Shape;
        return KernelCall.ForItems(io.Executor, "roll_f32", (long)shape.N * shape.C * Vectors(src.Pixels, src.ElementSize))
            .With(src.Address).With(dst.Address).With((long)shape.N).With((long)shape.C).With(src.Pixels).With(src.Stride).With(dst.Stride)
            .With((long)operation.Images).With((long)operation.Channels).Queue;
    }

    private static IEnumerable<Action> Join(CudaLowering io, Concat operation)
    {
        List<Action> copies = [];
        Value whole = io.Node.Outputs[0];
        int start = 0;
        foreach (Value part in io.Node.Inputs)
        {
            ViewOffset offset = operation.Axis == Axis.Batch ? new ViewOffset(start, 0) : new ViewOffset(0, start);
            if (!io.LiesIn(part, whole, offset))
            {
                copies.Add(Copy(io, io.Program.View(part), io.Program.Part(whole, part.Type, offset)));
            }

            start += part.Shape[(int)operation.Axis];
        }

        return copies;
    }

    private static IEnumerable<Action> Cut(CudaLowering io, Operation operation)
    {
        Value source = io.Node.Inputs[0];
        Value result = io.Node.Outputs[0];
        ViewOffset offset = operation.ViewOfInput!.Value;
        return io.LiesIn(result, source, offset) ? [] : [Copy(io, io.Program.Part(source, result.Type, offset), io.Out())];
    }

    private static IEnumerable<Action> Normalize(CudaLowering io, Normalization operation)
    {
        CudaView src = io.In(0);
        Shape shape = src.Shape;
        bool perImage = operation.Statistics == NormalizationStatistics.PerImage;
        long groups = perImage ? shape.N : 1;
        long pixels = perImage ? src.Pixels : src.Rows;
        long chunks = (pixels + StatisticsChunk - 1) / StatisticsChunk;
        io.NeedScratch(groups * chunks * shape.C * 2 * sizeof(double));
        CudaView mean = io.Out(1);
        CudaView variance = io.Out(2);
        CudaProgram program = io.Program;
        CudaExecutor executor = io.Executor;
        long tiles = (shape.C + ChannelTile(src) - 1) / ChannelTile(src);
        return
        [
            () => KernelCall.ForBlocks(executor, "normalization_statistics" + src.Suffix, groups * chunks * tiles)
                .With(src.Address).With(program.Scratch).With(groups).With(pixels).With((long)shape.C).With(src.Stride).With((long)StatisticsChunk).Queue(),
            () => KernelCall.ForBlocks(executor, "normalization_statistics_final", groups * ((shape.C + 31) / 32))
                .With(program.Scratch).With(mean.Address).With(variance.Address).With(groups).With(pixels).With((long)shape.C).With((long)StatisticsChunk).Queue(),
            ApplyNormalization(io, io.OptionalIn(1), io.OptionalIn(2), mean.Address, variance.Address, groups, operation.Epsilon, operation.Slope),
        ];
    }

    private static int ChannelTile(CudaView view) => 8 * 16 / view.ElementSize;

    private static Action ApplyNormalization(CudaLowering io, ulong gamma, ulong beta, ulong mean, ulong variance, long groups, float epsilon, float slope)
    {
        CudaView src = io.In(0);
        CudaView dst = io.Out();
        long pixels = src.Rows / groups;
        long blocks = groups * ((pixels + ApplyChunk - 1) / ApplyChunk) * ((src.Shape.C + ChannelTile(src) - 1) / ChannelTile(src));
        return KernelCall.ForBlocks(io.Executor, "normalization" + src.Suffix, blocks)
            .With(src.Address).With(gamma).With(beta).With(mean).With(variance).With(dst.Address).With(groups).With(pixels).With((long)src.Shape.C)
            .With(src.Stride).With(dst.Stride).With((long)ApplyChunk).With(epsilon).With(slope).Queue;
    }

    private static Action Resample(string entry, CudaLowering io, Shape smaller)
    {
        CudaView src = io.In(0);
        CudaView dst = io.Out();
        return KernelCall.ForItems(io.Executor, entry + src.Suffix, (long)smaller.N * smaller.H * smaller.W * Vectors(smaller.C, src.ElementSize))
            .With(src.Address).With(dst.Address).With((long)smaller.N).With((long)smaller.H).With((long)smaller.W).With((long)smaller.C)
            .With(src.Stride).With(dst.Stride).Queue;
    }

    private static IEnumerable<Action> NormalizeRange(CudaLowering io, bool perImage, Func<ulong, ulong, Action> scale)
    {
        CudaView src = io.In(0);
        long parts = Math.Max(1, (src.RowLength + ExtremesPart - 1) / ExtremesPart);
        io.NeedScratch(src.Rows * parts * 2 * sizeof(float));
        ulong lo = io.Out(1).Address;
        ulong hi = io.Out(2).Address;
        long groups = perImage ? src.Rows : 1;
        long count = perImage ? parts : src.Rows * parts;
        CudaProgram program = io.Program;
        CudaExecutor executor = io.Executor;
        return
        [
            () => KernelCall.ForBlocks(executor, "range_extremes", src.Rows * parts)
                .With(src.Address).With(program.Scratch).With(src.Rows).With(src.RowLength).With(src.Stride).With(parts).Queue(),
            () => KernelCall.ForBlocks(executor, "range_extremes_final", groups)
                .With(program.Scratch).With(lo).With(hi).With(groups).With(count).Queue(),
            scale(lo, hi),
        ];
    }

    private static Action ScaleRangeToFeatures(CudaLowering io, ulong lo, ulong hi, RangeNormalizeToFeatures operation)
    {
        CudaView src = io.In(0);
        CudaView dst = io.Out();
        return KernelCall.ForItems(io.Executor, "range_normalize_to_features" + dst.Suffix, dst.Rows * Vectors(dst.Room, dst.ElementSize))
            .With(src.Address).With(lo).With(hi).With(dst.Address).With((long)src.Shape.N).With((long)src.Shape.C).With(src.Pixels).With(src.Stride)
            .With(dst.Stride).With((long)dst.Room).With(operation.PerImage ? 1L : 0L).With(operation.Scale).With(operation.Offset).Queue;
    }

    private static Action ScaleRange(string entry, CudaLowering io, ulong lo, ulong hi, bool perImage, float scale, float offset)
    {
        CudaView src = io.In(0);
        CudaView dst = io.Out();
        return KernelCall.ForItems(io.Executor, entry, src.Rows * Vectors(src.RowLength, src.ElementSize))
            .With(src.Address).With(lo).With(hi).With(dst.Address).With(src.Rows).With(src.RowLength).With(src.Stride).With(dst.Stride)
            .With(perImage ? 1L : 0L).With(scale).With(offset).Queue;
    }

    private static Action Profile(CudaLowering io, RingProfile operation)
    {
        CudaView src = io.In(0);
        CudaView dst = io.Out();
        DeviceMemory weights = io.Program.Allocate(operation.Weights.Count * sizeof(float));
        io.Executor.Stream.CopyToDeviceAndWait(weights.Pointer, operation.Weights.Span);
        return KernelCall.ForBlocks(io.Executor, "ring_profile", (long)src.Shape.N * dst.Shape.C)
            .With(src.Address).With(weights.Pointer).With(dst.Address).With((long)src.Shape.N).With((long)src.Shape.C).With((long)src.Shape.H)
            .With((long)src.Shape.W).With(src.Stride).With(dst.Stride).With((long)dst.Shape.C).With((int)operation.Kind).Queue;
    }

    private static Action Pixels(string entry, CudaLowering io, int? rounding = null)
    {
        CudaView src = io.In(0);
        CudaView dst = io.Out();
        KernelCall call = KernelCall.ForItems(io.Executor, entry, src.Shape.N * src.Pixels)
            .With(src.Address).With(dst.Address).With((long)src.Shape.N).With((long)src.Shape.C).With(src.Pixels).With(src.Stride).With(dst.Stride);
        return rounding is int mode ? call.With(mode).Queue : call.Queue;
    }
}
