using System.Diagnostics;
using System.Runtime.InteropServices;
using Stig.Interop.Cuda;
using Stig.Model.Graphs;

namespace Stig.Model.Execution.Cuda;

/// <summary>
/// A graph compiled for a GPU: rewritten for the kernels that there are, an arena, a list of queued calls, and after the first run their recording, which is replayed. Weights in the
/// form that convolutions want are remade, outside the recording, when they have changed.
/// </summary>
internal sealed class CudaProgram : Program
{
    private readonly Graph graph;
    private readonly IReadOnlyDictionary<Value, Value> images;
    private readonly CudaTensorStore store;
    private readonly CudaExecutor executor;
    private readonly CudaLayout layout;
    private readonly DeviceMemory arena;
    private readonly DeviceMemory scratch;
    private readonly Dictionary<Value, DeviceMemory> inputs = [];
    private readonly Dictionary<Value, PinnedMemory> staging = [];
    private readonly Dictionary<Value, DeviceMemory> plainOutputs = [];
    private readonly HashSet<Value> uploading = [];
    private readonly List<(Node Node, Action Queue)> steps = [];
    private readonly List<Func<bool>> refreshes = [];
    private readonly List<IDisposable> resources = [];
    private readonly Dictionary<object, object> shared = [];
    private CudaGraph? recording;
    private bool hasRun;

    public CudaProgram(Graph graph, CudaTensorStore store, CudaExecutor executor)
    {
        this.graph = graph;
        this.store = store;
        this.executor = executor;
        layout = new CudaLayout(executor.Precision);
        Graph fused = CudaFusion.Fuse(graph, out images);
        Plan = MemoryPlan.Create(fused, layout);
        CudaConvolution.CheckLimits(Plan.Nodes, layout);
        try
        {
            arena = Allocate(Plan.ArenaBytes);
            foreach (Value input in fused.Inputs.Values)
            {
                inputs.Add(input, Allocate(input.Type.ByteCount));
                staging.Add(input, Own(PinnedMemory.Allocate(Context, input.Type.ByteCount, writeCombined: true)));
            }

            foreach (Value output in fused.Outputs.Values.Distinct())
            {
                if (!staging.ContainsKey(output))
                {
                    staging.Add(output, Own(PinnedMemory.Allocate(Context, output.Type.ByteCount)));
                }

                if (output.Type.Layout == TensorLayout.FeatureMap)
                {
                    plainOutputs.Add(output, Allocate(output.Type.ByteCount));
                }
            }

            var lowering = new CudaLowering(this, executor, layout);
            foreach (Node node in Plan.Nodes)
            {
                lowering.Node = node;
                foreach (Action queue in CudaKernels.Lower(lowering))
                {
                    steps.Add((node, queue));
                }
            }

            scratch = Allocate(lowering.ScratchBytes);
            executor.SaveChoices();
        }
        catch
        {
            Dispose(true);
            throw;
        }
    }

    public override MemoryPlan Plan { get; }

    /// <summary>Why runs are queued call by call instead of replayed; null while they are replayed.</summary>
    public string? CaptureRefusal { get; private set; }

    /// <summary>Whether runs are replayed from a recording.</summary>
    public bool IsRecorded => recording is not null;

    /// <summary>Address of the work area of the kernel at hand.</summary>
    public ulong Scratch => scratch.Pointer;

    private CudaContext Context => executor.Context;

    public override ProgramMemory Memory => new(arena.Bytes, scratch.Bytes, 0);

    public override IReadOnlyDictionary<string, Value> Outputs => graph.Outputs;

    public override void Write<T>(Value input, ReadOnlySpan<T> data)
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(data);
        if (!images.TryGetValue(input, out Value? image) || !inputs.TryGetValue(image, out DeviceMemory? memory))
        {
            throw new ArgumentException($"{input} is no input of this program.", nameof(input));
        }

        if (bytes.Length != memory.Bytes)
        {
            throw new ArgumentException($"{input} takes {memory.Bytes} bytes, not {bytes.Length}.", nameof(data));
        }

        using CudaContext.Scope scope = Context.Use();
        using NvtxRange range = Nvtx.Range("stig upload");
        PinnedMemory host = staging[image];
        if (!uploading.Add(image))
        {
            // The copy before this one may still be reading the staging memory.
            Synchronize();
            uploading.Add(image);
        }

        bytes.CopyTo(host.AsSpan<byte>(0, bytes.Length));
        executor.Stream.CopyToDevice(memory.Pointer, host.Pointer, bytes.Length);
    }

    public override void Run()
    {
        using CudaContext.Scope scope = Context.Use();
        using NvtxRange range = Nvtx.Range("stig run");
        foreach (Func<bool> refresh in refreshes)
        {
            _ = refresh();
        }

        if (executor.Profile)
        {
            RunForProfiler();
            return;
        }

        if (recording is null && hasRun && CaptureRefusal is null)
        {
            Record();
        }

        if (recording is not null)
        {
            recording.Launch(executor.Stream);
            return;
        }

        // The first run is queued call by call: libraries load kernels lazily, which a recording does not allow.
        Queue(named: Nvtx.IsEnabled);
        hasRun = true;
    }

    public override void Profile(Action<Node, TimeSpan> report)
    {
        using CudaContext.Scope scope = Context.Use();
        foreach (Func<bool> refresh in refreshes)
        {
            _ = refresh();
        }

        foreach (IGrouping<Node, (Node Node, Action Queue)> calls in steps.GroupBy(step => step.Node))
        {
            executor.Stream.Synchronize();
            long start = Stopwatch.GetTimestamp();
            foreach ((_, Action queue) in calls)
            {
                queue();
            }

            executor.Stream.Synchronize();
            report(calls.Key, Stopwatch.GetElapsedTime(start));
        }
    }

    public override long ByteCount(Value value) => layout.ByteCount(value.Type);

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

        using CudaContext.Scope scope = Context.Use();
        using NvtxRange range = Nvtx.Range("stig download");
        PinnedMemory host = staging[images[output]];
        CudaView view = View(images[output]);
        if (view.IsFeatures)
        {
            DeviceMemory plain = plainOutputs[images[output]];
            CudaKernels.ToPlain(executor, view, plain.Pointer)();
            executor.Stream.CopyToHost(host.Pointer, plain.Pointer, bytes.Length);
        }
        else
        {
            // Images of a view may lie apart.
            long imageBytes = output.Type.ByteCount / view.Shape.N;
            long pitch = view.Stride * view.ElementSize;
            for (int image = 0; image < (pitch == imageBytes ? 1 : view.Shape.N); image++)
            {
                executor.Stream.CopyToHost(host.Pointer + (nint)(image * imageBytes), view.Address + (ulong)(image * pitch),
                    pitch == imageBytes ? bytes.Length : imageBytes);
            }
        }

        Synchronize();
        host.AsSpan<byte>(0, bytes.Length).CopyTo(bytes);
    }

    /// <summary>Where a value lies.</summary>
    internal CudaView View(Value value)
    {
        Placement placement = Plan[value]!.Value;
        return layout.View(value.Type, placement.Root.Type, placement.Offset, Storage(placement.Root));
    }

    /// <summary>A part of a value: as if it were cut out of it.</summary>
    internal CudaView Part(Value whole, TensorType type, ViewOffset offset)
    {
        Placement placement = Plan[whole]!.Value;
        var total = new ViewOffset(placement.Offset.Image + offset.Image, placement.Offset.Channel + offset.Channel);
        return layout.View(type with { Layout = whole.Type.Layout }, placement.Root.Type, total, Storage(placement.Root));
    }

    internal CudaTensorStore.Entry Entry(Value value) => store.Find((value.UpdatedParameter ?? value).Name);

    /// <summary>Keeps a resource until the program is disposed.</summary>
    internal T Own<T>(T resource) where T : IDisposable
    {
        resources.Add(resource);
        return resource;
    }

    internal DeviceMemory Allocate(long bytes) => Own(DeviceMemory.Allocate(Context, Math.Max(bytes, 1), executor.Stream));

    /// <summary>Called before every run, to remake what depends on weights that have changed.</summary>
    internal void BeforeRun(Func<bool> refresh) => refreshes.Add(refresh);

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
            recording?.Dispose();
            recording = null;
            foreach (IDisposable resource in Enumerable.Reverse(resources))
            {
                resource.Dispose();
            }

            resources.Clear();
        }
    }

    private void Synchronize()
    {
        executor.Stream.Synchronize();
        uploading.Clear();
    }

    // A first pass loads kernels, unseen; every further one is seen node by node. What a program updates it may update once a run only.
    private void RunForProfiler()
    {
        if (!hasRun && !Plan.Nodes.Any(node => node.Operation.UpdatedInput(0) is not null))
        {
            Queue(named: false);
            Synchronize();
        }

        hasRun = true;
        executor.StartProfiler();
        Queue(named: true);
    }

    private void Record()
    {
        try
        {
            recording = CudaGraph.Capture(executor.Stream, () => Queue(named: false));
        }
        catch (CudaException e) when (e is not (DeviceOutOfMemoryException or DeviceLostException))
        {
            // A library that cannot be recorded says so with a code of its own.
            CaptureRefusal = e.Message;
            executor.Tell($"Runs are queued call by call, which is slower: they cannot be recorded ({e.Message})");
        }
    }

    private void Queue(bool named)
    {
        foreach ((Node node, Action queue) in steps)
        {
            using NvtxRange range = named ? Nvtx.Range(node.Name) : default;
            queue();
        }
    }

    private ulong Storage(Value root) => root.Kind switch
    {
        ValueKind.Input => inputs[root].Pointer,
        ValueKind.Parameter => store.Find(root.Name).Memory.Pointer,
        _ => arena.Pointer + (ulong)(Plan.ArenaOffset(root) ?? throw new GraphException($"{root} has no place in the arena.")),
    };
}
