using Stig.Interop;
using Stig.Model.Graphs;
using Stig.Model.Operations;
using static Stig.Interop.NativeMethods;

namespace Stig.Model.Execution.Cpu;

/// <summary>
/// Convolutions: a oneDNN primitive for every distinct shape and direction, made when the program is compiled, and the weights in the
/// primitive's own form: kept and remade only when they have changed; in a program that changes them itself, made at every use.
/// </summary>
internal static unsafe class Conv2dKernels
{
    private enum Direction
    {
        Forward = 0,
        BackwardData = 1,
        BackwardWeights = 2,
    }

    public static CpuStep Forward(CpuLowering io, Conv2d operation)
    {
        Value weights = io.Node.Inputs[1];
        bool bias = io.Node.Inputs.Count == 3;
        NativeTensor* src = io.In(0);
        NativeTensor* dst = io.Out();
        float* biasData = bias ? (float*)io.In(2)->Data : null;
        NativeConv2dDesc desc = Describe(io, src, dst, weights.Shape, operation.Stride, operation.Padding, bias);
        Primitive primitive = Create(io, desc, Direction.Forward);
        PackedWeights packed = Pack(io, primitive, desc, Direction.Forward, weights);
        return () =>
        {
            CoreStatus status = packed.Refresh(io.Program, out void* data);
            return status != CoreStatus.Ok ? status : stig_conv2d_forward(primitive.Handle, src, data, biasData, dst, io.Program.Scratch);
        };
    }

    public static CpuStep BackwardData(CpuLowering io, Conv2dBackwardData operation)
    {
        Value weights = io.Node.Inputs[1];
        NativeTensor* diffDst = io.In(0);
        NativeTensor* diffSrc = io.Out();
        NativeConv2dDesc desc = Describe(io, diffSrc, diffDst, weights.Shape, operation.Stride, operation.Padding, false);
        Primitive primitive = Create(io, desc, Direction.BackwardData);
        PackedWeights packed = Pack(io, primitive, desc, Direction.BackwardData, weights);
        return () =>
        {
            CoreStatus status = packed.Refresh(io.Program, out void* data);
            return status != CoreStatus.Ok ? status : stig_conv2d_backward_data(primitive.Handle, diffDst, data, diffSrc, io.Program.Scratch);
        };
    }

    public static CpuStep BackwardWeights(CpuLowering io, Conv2dBackwardWeights operation)
    {
        NativeTensor* src = io.In(0);
        NativeTensor* diffDst = io.In(1);
        var diffWeights = (float*)io.Out(0)->Data;
        var diffBias = (float*)io.Out(1)->Data;
        NativeConv2dDesc desc = Describe(io, src, diffDst, operation.WeightsShape, operation.Stride, operation.Padding, diffBias != null);
        Primitive primitive = Create(io, desc, Direction.BackwardWeights);
        return () => stig_conv2d_backward_weights(primitive.Handle, src, diffDst, diffWeights, diffBias, io.Program.Scratch);
    }

    private static NativeConv2dDesc Describe(
        CpuLowering io, NativeTensor* src, NativeTensor* dst, Shape weights, int stride, int padding, bool bias) => new()
        {
            InputChannels = src->C,
            InputHeight = src->H,
            InputWidth = src->W,
            OutputChannels = dst->C,
            OutputHeight = dst->H,
            OutputWidth = dst->W,
            KernelHeight = weights.H,
            KernelWidth = weights.W,
            Stride = stride,
            Padding = padding,
            SourceBlock = src->Block,
            DestinationBlock = dst->Block,
            WithBias = bias ? 1 : 0,
            Winograd = io.Program.Options.Winograd ? 1 : 0,
            Bf16 = io.Program.Options.Bf16 ? 1 : 0,
            SourceType = (int)src->Type,
            DestinationType = (int)dst->Type,
        };

    private static Primitive Create(CpuLowering io, NativeConv2dDesc desc, Direction direction)
    {
        Primitive primitive = io.Program.Share((desc, direction), () => io.Program.Own(new Primitive(desc, (int)direction)));
        io.NeedScratch(primitive.ScratchBytes);
        return primitive;
    }

    private static PackedWeights Pack(CpuLowering io, Primitive primitive, NativeConv2dDesc desc, Direction direction, Value weights)
    {
        CpuTensorStore.Entry entry = io.Program.Entry(weights);
        bool passing = weights.Graph.Latest(weights.UpdatedParameter ?? weights).Kind == ValueKind.Computed;
        if (passing)
        {
            io.NeedScratch(PackedWeights.Offset(primitive) + primitive.PackedBytes);
        }

        return io.Program.Share((desc, direction, entry), () =>
        {
            io.Program.PackedBytes += passing ? 0 : primitive.PackedBytes;
            return io.Program.Own(new PackedWeights(primitive, entry, passing));
        });
    }

    private sealed class Primitive : IDisposable
    {
        private nint handle;

        public Primitive(NativeConv2dDesc desc, int direction)
        {
            nint created;
            NativeCore.Check(stig_conv2d_create(&desc, direction, &created));
            handle = created;
            long packed;
            long scratch;
            NativeCore.Check(stig_conv2d_sizes(handle, &packed, &scratch));
            PackedBytes = packed;
            ScratchBytes = scratch;
        }

        ~Primitive() => Free();

        public nint Handle => handle;

        public long PackedBytes { get; }

        public long ScratchBytes { get; }

        public void Dispose()
        {
            Free();
            GC.SuppressFinalize(this);
        }

        private void Free()
        {
            stig_conv2d_destroy(handle);
            handle = 0;
        }
    }

    private sealed class PackedWeights(Primitive primitive, CpuTensorStore.Entry weights, bool passing) : IDisposable
    {
        private NativeBuffer? buffer;
        private long version = -1;

        /// <summary>Where packed weights that are not kept lie in scratch memory: behind the primitive's own.</summary>
        public static long Offset(Primitive primitive) => (primitive.ScratchBytes + 63) / 64 * 64;

        public CoreStatus Refresh(CpuProgram program, out void* data)
        {
            // Made when it is first needed, so that weights need not all be there in both forms at a time.
            buffer ??= passing ? null : new NativeBuffer(primitive.PackedBytes);
            data = passing ? program.Scratch + Offset(primitive) : buffer!.Pointer;
            if (!passing && version == weights.Version)
            {
                return CoreStatus.Ok;
            }

            CoreStatus status = stig_conv2d_pack_weights(primitive.Handle, (float*)weights.Buffer.Pointer, data, program.Scratch);
            version = status == CoreStatus.Ok ? weights.Version : -1;
            if (!passing && status == CoreStatus.Ok)
            {
                weights.Drop();
            }

            return status;
        }

        public void Dispose() => buffer?.Dispose();
    }
}
