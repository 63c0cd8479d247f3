using Stig.Interop.Cuda;
using Stig.Model.Graphs;

namespace Stig.Model.Execution.Cuda;

/// <summary>Tensors in device memory.</summary>
internal sealed class CudaTensorStore(CudaContext context, CudaStream stream) : TensorStore
{
    private readonly Dictionary<string, Entry> entries = [];
    private readonly OrderedDictionary<string, Shape> shapes = [];

    public override IReadOnlyDictionary<string, Shape> Shapes => shapes;

    public override void Create(string name, Shape shape, ReadOnlySpan<float> values)
    {
        if (values.Length != shape.Count)
        {
            throw new ArgumentException($"{name} is {shape}: {shape.Count} values, not {values.Length}.", nameof(values));
        }

        if (shapes.ContainsKey(name))
        {
            throw new ArgumentException($"{name} is in the store already.", nameof(name));
        }

        using CudaContext.Scope scope = context.Use();
        entries.Add(name, new Entry(DeviceMemory.Allocate(context, shape.Count * sizeof(float), stream)));
        shapes.Add(name, shape);
        Write(name, values);
    }

    public override void Write(string name, ReadOnlySpan<float> values)
    {
        Entry entry = Find(name, values.Length);
        using CudaContext.Scope scope = context.Use();
        stream.CopyToDeviceAndWait(entry.Memory.Pointer, values);
        entry.Version++;
    }

    public override void Read(string name, Span<float> values)
    {
        Entry entry = Find(name, values.Length);
        using CudaContext.Scope scope = context.Use();
        stream.CopyToHostAndWait(values, entry.Memory.Pointer);
    }

    internal Entry Find(string name) => entries[name];

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (Entry entry in entries.Values)
            {
                entry.Memory.Dispose();
            }
        }
    }

    private Entry Find(string name, int length)
    {
        long count = Shapes[name].Count;
        return length == count
            ? entries[name]
            : throw new ArgumentException($"{name} is {Shapes[name]}: {count} values, not {length}.", nameof(length));
    }

    /// <summary>One tensor's memory and how often it has been written, so that forms derived from it know when they are stale.</summary>
    internal sealed class Entry(DeviceMemory memory)
    {
        public DeviceMemory Memory => memory;

        public long Version { get; set; }
    }
}
