using Stig.Model.Graphs;

namespace Stig.Model.Execution.Cpu;

/// <summary>Tensors in host memory.</summary>
internal sealed unsafe class CpuTensorStore : TensorStore
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

        if (!shapes.TryAdd(name, shape))
        {
            throw new ArgumentException($"{name} is in the store already.", nameof(name));
        }

        entries.Add(name, new Entry(new NativeBuffer(shape.Count * sizeof(float))));
        Write(name, values);
    }

    public override void Write(string name, ReadOnlySpan<float> values)
    {
        Entry entry = entries[name];
        values.CopyTo(Span(name, values.Length));
        entry.Version++;
    }

    public override void Read(string name, Span<float> values) => Span(name, values.Length).CopyTo(values);

    internal Entry Find(string name) => entries[name];

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            foreach (Entry entry in entries.Values)
            {
                entry.Buffer.Dispose();
            }
        }
    }

    private Span<float> Span(string name, int length)
    {
        long count = Shapes[name].Count;
        return length == count
            ? new Span<float>(entries[name].Buffer.Pointer, length)
            : throw new ArgumentException($"{name} is {Shapes[name]}: {count} values, not {length}.", nameof(length));
    }

    /// <summary>One tensor's memory and how often it has been written, so that forms derived from it know when they are stale.</summary>
    internal sealed class Entry(NativeBuffer buffer)
    {
        public NativeBuffer Buffer => buffer;

        public long Version { get; set; }
    }
}
