using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Dnn;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Execution.Cuda;

/// <summary>
/// Convolutions through cuDNN, channels-last, bias fused. Channels are padded to whole vectors (input: zeros; output: channels nobody reads),
/// weights are kept as O, H, W, I in the network's type and remade only when they have changed.
/// </summary>
internal static class CudaConvolution
{
    public static IEnumerable<Action> Forward(CudaLowering io, Conv2d operation)
    {
        CudaView src = io.In(0);
        CudaView dst = io.Out();
        Value weightsValue = io.Node.Inputs[1];
        Shape weights = weightsValue.Shape;
        CudaExecutor executor = io.Executor;
        CudaProgram program = io.Program;
        int size = io.Layout.FeatureSize;
        DnnDataType type = size == 2 ? DnnDataType.BFloat16 : DnnDataType.Float32;

        // cuDNN takes packed maps. A feature map of whole vectors that is one is read where it is; anything else (planar images, a part of a
        // joined map) is laid out in the work area, with zeros in the channels that fill up the last vector. A result that belongs into a
        // joined map is computed in the work area and copied.
        int inputChannels = io.Layout.PaddedChannels(src.Shape.C);
        int outputChannels = io.Layout.PaddedChannels(dst.Shape.C);
        bool inPlace = io.FillsVectors(0);
        bool outPlace = dst.Stride == outputChannels;
        long inputBytes = inPlace ? 0 : Align((long)src.Shape.N * src.Pixels * inputChannels * size);
        long outputBytes = outPlace ? 0 : Align((long)dst.Shape.N * dst.Pixels * outputChannels * size);

        CudaTensorStore.Entry entry = program.Entry(weightsValue);
        CudaTensorStore.Entry? biasEntry = io.Node.Inputs.Count == 3 ? program.Entry(io.Node.Inputs[2]) : null;
        PackedWeights packed = program.Share(("weights", entry, biasEntry, inputChannels, outputChannels), () =>
        {
            var made = new PackedWeights(io, weights, entry, biasEntry, inputChannels, outputChannels);
            program.BeforeRun(made.Refresh);
            return made;
        });
        DnnTensor? biasShape = biasEntry is null ? null : program.Share(("bias", outputChannels), () =>
            program.Own(DnnTensor.Create(executor.Context, type, 1, outputChannels, 1, 1, outputChannels)));
        DnnActivation Identity() => program.Share("identity", () => program.Own(DnnActivation.Create(executor.Context, DnnActivationMode.Identity)));
        long pixels = dst.Rows;
        void AddBias(ulong y) => KernelCall.ForItems(executor, "add" + (size == 2 ? "_bf16" : "_f32"), pixels * CudaKernels.Vectors(outputChannels, size))
            .With(y).With(packed.Bias).With(y).With(pixels).With(1L).With((long)outputChannels).With((long)outputChannels).With((long)outputChannels)
            .With((long)outputChannels).Queue();
        Prepared prepared = program.Share(("convolution", operation, src.Shape, inputChannels, outputChannels, weights, biasShape is null), () =>
        {
            CudaContext context = executor.Context;
            var shape = new DnnShape(
                program.Own(DnnTensor.Create(context, type, src.Shape.N, inputChannels, src.Shape.H, src.Shape.W, inputChannels)),
                program.Own(DnnFilter.Create(context, type, outputChannels, inputChannels, weights.H, weights.W)),
                program.Own(DnnConvolution.Create(context, operation.Padding, operation.Stride, DnnMathType.Default)),
                program.Own(DnnTensor.Create(context, type, dst.Shape.N, outputChannels, dst.Shape.H, dst.Shape.W, outputChannels)));
            string name = $"{executor.Precision} {src.Shape.H}x{src.Shape.W} {inputChannels} to {outputChannels} {weights.H}x{weights.W}"
                + $" stride {operation.Stride} padding {operation.Padding}{(biasShape is null ? "" : " bias")}";
            ConvolutionMethod method = executor.Tuner.Choose(
                new TunedConvolution(
                    shape, biasShape, name, (long)src.Shape.N * src.Pixels * inputChannels * size, pixels * outputChannels * size,
                    packed.Weights, packed.Bias, AddBias),
                Identity);
            return new Prepared(shape, method, executor.Dnn.ForwardWorkspace(shape, (int)method.Algorithm));
        });
        (DnnShape shape, ConvolutionMethod method, long workspace) = prepared;
        int algorithm = (int)method.Algorithm;
        io.NeedScratch(inputBytes + outputBytes + workspace);

        List<Action> actions = [];
        if (!src.IsFeatures)
        {
            actions.Add(() => CudaKernels.ToFeatures(executor, src, program.Scratch, size, inputChannels, inputChannels).Queue());
        }
        else if (!inPlace)
        {
            actions.Add(() => executor.Stream.Clear(program.Scratch, inputBytes));
            actions.Add(() => CudaKernels.CopyRows(executor, src, program.Scratch, inputChannels).Queue());
        }

        ulong X() => inPlace ? src.Address : program.Scratch;
        ulong Y() => outPlace ? dst.Address : program.Scratch + (ulong)inputBytes;
        DnnWorkspace Workspace() => new(program.Scratch + (ulong)(inputBytes + outputBytes), workspace);
        if (method.AddsBias)
        {
            DnnActivation identity = Identity();
            actions.Add(() => executor.Dnn.ForwardBiasActivation(
                shape, algorithm, X(), packed.Weights, biasShape!, packed.Bias, identity, Y(), Workspace()));
        }
        else
        {
            actions.Add(() => executor.Dnn.Forward(shape, algorithm, X(), packed.Weights, Y(), Workspace()));
            if (biasShape is not null)
            {
                actions.Add(() => AddBias(Y()));
            }
        }

        if (!outPlace)
        {
            actions.Add(() => CudaKernels.CopyRows(
                executor, dst with { Address = program.Scratch + (ulong)inputBytes, Stride = outputChannels }, dst.Address, dst.Stride).Queue());
        }

        return actions;
    }

    /// <summary>Refuses maps that cuDNN cannot address.</summary>
    /// <exception cref="DeviceLimitException">A map of a convolution spans 2^31 elements or more.</exception>
    public static void CheckLimits(IEnumerable<Node> nodes, CudaLayout layout)
    {
        foreach (Node node in nodes.Where(node => node.Operation is Conv2d))
        {
            foreach (Shape shape in (Shape[])[node.Inputs[0].Shape, node.Outputs[0].Shape])
            {
                DnnTensor.CheckLimit(shape.N, shape.C, shape.H, shape.W, layout.PaddedChannels(shape.C));
            }
        }
    }

    private sealed record Prepared(DnnShape Shape, ConvolutionMethod Method, long Workspace);

    private static long Align(long bytes) => (bytes + 255) / 256 * 256;

    private sealed class PackedWeights
    {
        private readonly CudaExecutor executor;
        private readonly CudaTensorStore.Entry weights;
        private readonly CudaTensorStore.Entry? bias;
        private readonly Shape shape;
        private readonly int size;
        private readonly int inputChannels;
        private readonly DeviceMemory packedWeights;
        private readonly DeviceMemory packedBias;
        private (long Weights, long Bias) version = (-1, -1);

        public PackedWeights(
            CudaLowering io, Shape shape, CudaTensorStore.Entry weights, CudaTensorStore.Entry? bias, int inputChannels, int outputChannels)
        {
            executor = io.Executor;
            size = io.Layout.FeatureSize;
            this.shape = shape;
            this.weights = weights;
            this.bias = bias;
            this.inputChannels = inputChannels;
            packedWeights = Cleared(io, (long)outputChannels * shape.H * shape.W * inputChannels * size);
            packedBias = Cleared(io, (long)outputChannels * size);
        }

        public ulong Weights => packedWeights.Pointer;

        public ulong Bias => packedBias.Pointer;

        /// <summary>Queues the conversion when weights or bias have changed.</summary>
        public bool Refresh()
        {
            if (version == (weights.Version, bias?.Version ?? 0))
            {
                return false;
            }

            // O, I, H, W is a plain tensor of O images with I channels; its channels-last form is O, H, W, I.
            long pixels = (long)shape.H * shape.W;
            var plain = new CudaView(weights.Memory.Pointer, TensorType.Float(shape), shape.C * pixels, shape.C, sizeof(float));
            CudaKernels.ToFeatures(executor, plain, Weights, size, inputChannels, inputChannels).Queue();
            if (bias is not null)
            {
                var vector = new CudaView(bias.Memory.Pointer, TensorType.Float(shape.N), shape.N, shape.N, sizeof(float));
                CudaKernels.ToFeatures(executor, vector, Bias, size, shape.N, shape.N).Queue();
            }

            version = (weights.Version, bias?.Version ?? 0);
            return true;
        }

        // Padding has to be zero: what is multiplied by padded channels must not be NaN.
        private static DeviceMemory Cleared(CudaLowering io, long bytes)
        {
            DeviceMemory memory = io.Program.Allocate(bytes);
            io.Executor.Stream.Clear(memory.Pointer, bytes);
            return memory;
        }
    }
}
