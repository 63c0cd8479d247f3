using static Stig.Interop.Cuda.CudaCheck;
using static Stig.Interop.Cuda.DriverApi;

namespace Stig.Interop.Cuda;

/// <summary>Work of a stream, recorded instead of run, made executable and ready to be replayed.</summary>
public sealed unsafe class CudaGraph : CudaResource
{
    private readonly nint handle;

    private CudaGraph(CudaContext context, nint handle, long nodes) : base(context)
    {
        this.handle = handle;
        Nodes = nodes;
    }

    /// <summary>The CUgraphExec.</summary>
    /// <exception cref="ObjectDisposedException">The graph has been disposed.</exception>
    public nint Handle
    {
        get
        {
            ThrowIfDisposed();
            return handle;
        }
    }

    /// <summary>Number of nodes: launches, copies, fills.</summary>
    public long Nodes { get; }

    /// <summary>
    /// Records what an action queues on a stream. Nothing runs; addresses and scalar arguments are fixed in the graph. Libraries used
    /// in the action must have been set to this very stream, or their work runs at once and is not recorded.
    /// </summary>
    /// <param name="stream">The stream; not the legacy default stream.</param>
    /// <param name="record">Queues the work. It must not allocate plainly, wait or query.</param>
    /// <exception cref="CudaException">
    /// The work cannot be captured (<see cref="CudaException.IsCaptureRefusal"/>), or the driver failed. What the action throws comes
    /// through; the stream is out of capture in every case.
    /// </exception>
    public static CudaGraph Capture(CudaStream stream, Action record)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(record);
        CudaContext context = stream.Context;
        using CudaContext.Scope scope = context.Use();
        Check(cuStreamBeginCapture_v2(stream.Handle, CaptureMode.ThreadLocal));
        nint graph = 0;
        try
        {
            record();
        }
        catch
        {
            // The action's own exception is what matters; whatever the end of a broken capture says follows from it.
            _ = cuStreamEndCapture(stream.Handle, &graph);
            Destroy(context, graph);
            throw;
        }

        Check(cuStreamEndCapture(stream.Handle, &graph));
        try
        {
            nuint nodes = 0;
            Check(cuGraphGetNodes(graph, null, &nodes));
            nint executable;
            Check(cuGraphInstantiateWithFlags(&executable, graph, 0), $"{nodes} nodes");
            return new CudaGraph(context, executable, (long)nodes);
        }
        finally
        {
            Destroy(context, graph);
        }
    }

    /// <summary>Sends the graph to the device, so that the first <see cref="Launch"/> need not.</summary>
    /// <param name="stream">Any stream.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void Upload(CudaStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        Check(cuGraphUpload(Handle, stream.Handle), $"{Nodes} nodes");
    }

    /// <summary>Queues one replay.</summary>
    /// <param name="stream">Any stream.</param>
    /// <exception cref="CudaException">The driver failed.</exception>
    public void Launch(CudaStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        Check(cuGraphLaunch(Handle, stream.Handle), $"{Nodes} nodes");
    }

    private protected override void Release() => Context.NoteRelease(cuGraphExecDestroy(handle), nameof(cuGraphExecDestroy));

    private static void Destroy(CudaContext context, nint graph)
    {
        if (graph != 0)
        {
            context.NoteRelease(cuGraphDestroy(graph), nameof(cuGraphDestroy));
        }
    }
}
