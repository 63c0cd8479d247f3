using System.Runtime.InteropServices;
using Stig.Interop;
using Stig.Model.Graphs;

namespace Stig.Model.Execution.Cpu;

/// <summary>A graph compiled for the CPU: an arena, a descriptor a value, a list of kernel calls.</summary>
internal sealed unsafe class CpuProgram : Program
{
    private readonly Graph graph;
    private readonly CpuTensorStore store;
    private readonly NativeBuffer arena;
    private readonly NativeBuffer scratch;
    private readonly Dictionary<Value, NativeBuffer> inputs = [];
    private readonly NativeBuffer descriptors;
    private readonly List<(Node Node, CpuStep Run)> steps = [];
    private readonly List<IDisposable> resources = [];
    private readonly Dictionary<object, object> shared = [];

    public CpuProgram(Graph graph, CpuTensorStore store, CpuOptions options)
    {
        this.graph = graph;
        this.store = store;
        Options = options;
        Layout = new CpuLayout(graph);
        Plan = MemoryPlan.Create(graph, Layout);
        arena = Own(new NativeBuffer(Plan.ArenaBytes));
        descriptors = Own(new NativeBuffer((long)graph.Values.Count * sizeof(NativeTensor)));
        foreach (Value input in graph.Inputs.Values)
        {
            inputs.Add(input, Own(new NativeBuffer(input.Type.ByteCount)));
        }

        foreach (Value value in graph.Values)
        {
            if (Plan[value] is Placement placement)
            {
                *Descriptor(value) = Layout.Describe(value.Type, placement.Root.Type, placement.Offset, Storage(placement.Root));
            }
        }

        var lowering = new CpuLowering(this);
        foreach (Node node in Plan.Nodes)
        {
            lowering.Node = node;
            foreach (CpuStep step in CpuKernels.Lower(lowering))
            {
                steps.Add((node, step));
            }
        }

        scratch = Own(new NativeBuffer(lowering.ScratchBytes));
    }

    public override MemoryPlan Plan { get; }

    public CpuLayout Layout { get; }

    public CpuOptions Options { get; }

    /// <summary>Work area of the running kernel; as large as the greediest kernel asked for.</summary>
    public byte* Scratch => scratch.Pointer;

    public override void Write<T>(Value input, ReadOnlySpan<T> data)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(data);
        if (!inputs.TryGetValue(input, out NativeBuffer? buffer))
        {
            throw new ArgumentException($"{input} is no input of this program.", nameof(input));
        }

        if (bytes.Length != buffer.ByteCount)
        {
            throw new ArgumentException($"{input} takes {buffer.ByteCount} bytes, not {bytes.Length}.", nameof(data));
        }

        bytes.CopyTo(new Span<byte>(buffer.Pointer, bytes.Length));
    }

    public override void Run()
    {
        foreach ((Node node, CpuStep run) in steps)
        {
            CoreStatus status = run();
            if (status == CoreStatus.NotFinite)
            {
                // The core's sentence begins with the name of the function.
                string what = NativeCore.LastError();
                throw new NotFiniteException(node, $"{node.Outputs[0].UpdatedParameter?.Name}: {what[(what.IndexOf(' ') + 1)..]}");
            }

            if (status != CoreStatus.Ok)
            {
                throw new NativeCoreException(status, $"{node.Name}: {NativeCore.LastError()}");
            }
        }
    }

    public override void Read<T>(Value output, Span<T> data)
    {
        if (!graph.Outputs.Values.Contains(output))
        {
            throw new ArgumentException($"{output} is no output of this program.", nameof(output));
        }

        Span<byte> bytes = MemoryMarshal.AsBytes(data);
        if (bytes.Length != output.Type.ByteCount)
        {
            throw new ArgumentException($"{output} has {output.Type.ByteCount} bytes, not {bytes.Length}.", nameof(data));
        }

        NativeTensor* source = Descriptor(output);
        fixed (byte* destination = bytes)
        {
            if (output.Type.Element == ElementType.Float32)
            {
                NativeTensor plain = Layout.Describe(TensorType.Float(output.Shape), TensorType.Float(output.Shape), default, destination);
                NativeCore.Check(NativeMethods.stig_copy(source, &plain));
                return;
            }

            // Other element types are plain; images may lie apart.
            long imageBytes = output.Type.ByteCount / source->N;
            for (long image = 0; image < source->N; image++)
            {
                new ReadOnlySpan<byte>(
                    (byte*)source->Data + (image * source->BatchStride * output.Type.ElementSize), checked((int)imageBytes))
                    .CopyTo(bytes.Slice(checked((int)(image * imageBytes)), (int)imageBytes));
            }
        }
    }

    internal NativeTensor* Descriptor(Value value) => (NativeTensor*)descriptors.Pointer + value.Id;

    internal CpuTensorStore.Entry Entry(Value value) => store.Find((value.UpdatedParameter ?? value).Name);

    /// <summary>Keeps a resource until the program is disposed.</summary>
    internal T Own<T>(T resource) where T : IDisposable
    {
        resources.Add(resource);
        return resource;
    }

    /// <summary>The object made for that key by an earlier node of this program, or a new one.</summary>
    internal T Share<T>(object key, Func<T> create) where T : class
    {
        if (!shared.TryGetValue(key, out object? known))
        {
            known = create();
            shared.Add(key, known);
        }

        return (T)known;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            steps.Clear();
            foreach (IDisposable resource in Enumerable.Reverse(resources))
            {
                resource.Dispose();
            }

            resources.Clear();
        }
    }

    private byte* Storage(Value root) => root.Kind switch
    {
        ValueKind.Input => inputs[root].Pointer,
        ValueKind.Parameter => store.Find(root.Name).Buffer.Pointer,
        _ => arena.Pointer + (Plan.ArenaOffset(root) ?? throw new GraphException($"{root} has no place in the arena.")),
    };
}

/// <summary>What a kernel's lowering sees of the node at hand.</summary>
internal sealed unsafe class CpuLowering(CpuProgram program)
{
    private Node? node;

    public CpuProgram Program => program;

    public Node Node
    {
        get => node!;
        set => node = value;
    }

    /// <summary>Largest work area asked for so far.</summary>
    public long ScratchBytes { get; private set; }

    public NativeTensor* In(int index) => program.Descriptor(Node.Inputs[index]);

    /// <summary>Input that an operation may go without; null when it does.</summary>
    public NativeTensor* OptionalIn(int index) => index < Node.Inputs.Count ? In(index) : null;

    /// <summary>An output; its data is null when nobody reads it.</summary>
    public NativeTensor* Out(int index = 0) => program.Descriptor(Node.Outputs[index]);

    public NativeTensor* OptionalOut(int index) => index < Node.Outputs.Count ? Out(index) : null;

    /// <summary>Asks for a work area; it is at <see cref="CpuProgram.Scratch"/> when the kernel runs.</summary>
    public void NeedScratch(long bytes) => ScratchBytes = Math.Max(ScratchBytes, bytes);

    /// <summary>Whether a value lies where a view into another would lie, so that nothing has to be copied between them.</summary>
    public bool LiesIn(Value part, Value whole, ViewOffset offset)
    {
        Placement inner = program.Plan[part]!.Value;
        Placement outer = program.Plan[whole]!.Value;
        return inner.Root == outer.Root
            && inner.Offset == new ViewOffset(outer.Offset.Image + offset.Image, outer.Offset.Channel + offset.Channel);
    }

    /// <summary>Descriptor of a part of a value, owned by the program.</summary>
    public NativeTensor* Part(Value whole, TensorType type, ViewOffset offset)
    {
        NativeTensor* source = program.Descriptor(whole);
        long first = (offset.Image * source->BatchStride) + (offset.Channel * source->H * source->W);
        NativeTensor* part = Copy(source);
        part->Data = (byte*)source->Data + (first * whole.Type.ElementSize);
        (part->N, part->C, part->H, part->W) = (type.Shape.N, type.Shape.C, type.Shape.H, type.Shape.W);
        return part;
    }

    /// <summary>Descriptor, owned by the program, of rows [N, C H W] as planar images of the extents of others.</summary>
    public NativeTensor* RowsAsImages(NativeTensor* rows, NativeTensor* images)
    {
        NativeTensor* result = Copy(rows);
        (result->C, result->H, result->W) = (images->C, images->H, images->W);
        return result;
    }

    private NativeTensor* Copy(NativeTensor* tensor)
    {
        var copy = (NativeTensor*)program.Own(new NativeBuffer(sizeof(NativeTensor))).Pointer;
        *copy = *tensor;
        return copy;
    }
}
