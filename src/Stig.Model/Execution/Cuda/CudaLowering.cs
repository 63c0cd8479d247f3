using Stig.Interop.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Execution.Cuda;

/// <summary>What a kernel's lowering sees of the node at hand.</summary>
internal sealed class CudaLowering(CudaProgram program, CudaExecutor executor, CudaLayout layout)
{
    private Node? node;

    public CudaProgram Program => program;

    public CudaExecutor Executor => executor;

    public CudaLayout Layout => layout;

    public Node Node
    {
        get => node!;
        set => node = value;
    }

    /// <summary>Largest work area asked for so far.</summary>
    public long ScratchBytes { get; private set; }

    public CudaView In(int index) => program.View(Node.Inputs[index]);

    /// <summary>Address of an input that an operation may go without; 0 when it does.</summary>
    public ulong OptionalIn(int index) => index < Node.Inputs.Count ? In(index).Address : 0;

    public CudaView Out(int index = 0) => program.View(Node.Outputs[index]);

    /// <summary>Address of an output that nobody may read; 0 when nobody does.</summary>
    public CudaView? OptionalOut(int index) => program.Plan[Node.Outputs[index]] is null ? null : Out(index);

    /// <summary>
    /// Whether an input's pixels are whole vectors, with zeros in the channels beyond its own: nothing then stands between it and a
    /// convolution.
    /// </summary>
    public bool FillsVectors(int index)
    {
        Value value = Node.Inputs[index];
        CudaView view = In(index);
        int channels = layout.PaddedChannels(value.Shape.C);
        return view.IsFeatures && view.Stride == channels
            && (channels == value.Shape.C || value.Producer?.Operation is RangeNormalizeToFeatures or Relayout { Layout: TensorLayout.FeatureMap });
    }

    /// <summary>Asks for a work area; it is at <see cref="CudaProgram.Scratch"/> when the kernel runs, aligned to 256 bytes.</summary>
    public void NeedScratch(long bytes) => ScratchBytes = Math.Max(ScratchBytes, bytes);

    /// <summary>Whether a value lies where a view into another would lie, so that nothing has to be copied between them.</summary>
    public bool LiesIn(Value part, Value whole, ViewOffset offset)
    {
        Placement inner = program.Plan[part]!.Value;
        Placement outer = program.Plan[whole]!.Value;
        return inner.Root == outer.Root
            && inner.Offset == new ViewOffset(outer.Offset.Image + offset.Image, outer.Offset.Channel + offset.Channel);
    }
}

/// <summary>A kernel with a grid and arguments, ready to be queued.</summary>
internal struct KernelCall
{
    private const int Threads = 256;

    // Enough blocks to fill the device several times over; kernels go through what is left in a loop.
    private const int BlocksPerMultiprocessor = 16;

    private readonly CudaExecutor executor;
    private readonly CudaFunction function;
    private readonly LaunchShape shape;
    private KernelArguments arguments;

    private KernelCall(CudaExecutor executor, string entry, long blocks)
    {
        this.executor = executor;
        function = executor.Kernels.Get(entry);
        long most = (long)executor.Context.Device.Multiprocessors * BlocksPerMultiprocessor;
        shape = new LaunchShape((uint)Math.Clamp(blocks, 1, most), Threads);
    }

    /// <summary>A kernel whose items are shared between threads.</summary>
    public static KernelCall ForItems(CudaExecutor executor, string entry, long items) => new(executor, entry, (items + Threads - 1) / Threads);

    /// <summary>A kernel whose items are shared between blocks.</summary>
    public static KernelCall ForBlocks(CudaExecutor executor, string entry, long items) => new(executor, entry, items);

    public KernelCall With<T>(T value) where T : unmanaged
    {
        arguments.Add(value);
        return this;
    }

    public readonly void Queue() => function.Launch(executor.Stream, shape, arguments);
}
