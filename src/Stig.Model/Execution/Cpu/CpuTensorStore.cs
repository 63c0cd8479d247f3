using Stig.Model.Graphs;

namespace Stig.Model.Execution.Cpu;

/// <summary>Tensors in host memory.</summary>
internal sealed unsafe class CpuTensorStore : TensorStore
{
    private readonly Dictionary<string, Entry> entries = [];
    private readonly OrderedDictionary<string, Shape> shapes = [];

    public override IReadOnlyDictionary<string, Shape> Shapes => shapes;

    public override long HeldBytes => entries.Values.Sum(entry => entry.HeldBytes);

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

        entries.Add(name, new Entry(shape.Count, null));
        Write(name, values);
    }

    public override void CreateConstant(string name, Shape shape, TensorFill fill)
    {
        if (!shapes.TryAdd(name, shape))
        {
            throw new ArgumentException($"{name} is in the store already.", nameof(name));
        }

        // Fetched at once, so that what is wrong with the source shows now.
        var entry = new Entry(shape.Count, fill);
        entries.Add(name, entry);
        _ = entry.Buffer;
    }

    public override void Write(string name, ReadOnlySpan<float> values)
    {
        Entry entry = entries[name];
        values.CopyTo(Span(name, values.Length));
        entry.Pin();
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
                entry.Dispose();
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

    /// <summary>
    /// One tensor's memory and how often it has been written, so that forms derived from it know when they are stale. The memory of a
    /// constant that nobody has pinned can be dropped; it is filled again when it is asked for.
    /// </summary>
    internal sealed class Entry(long count, TensorFill? fill) : IDisposable
    {
        private NativeBuffer? buffer;
        private bool pinned = fill is null;

        public NativeBuffer Buffer
        {
            get
            {
                if (buffer is null)
                {
                    buffer = new NativeBuffer(count * sizeof(float));
                    fill?.Invoke(new Span<float>(buffer.Pointer, checked((int)count)));
                }

                return buffer;
            }
        }

        public long HeldBytes => buffer?.ByteCount ?? 0;

        public long Version { get; set; }

        /// <summary>Keeps the memory where it is for good.</summary>
        public NativeBuffer Pin()
        {
            pinned = true;
            return Buffer;
        }

        /// <summary>Frees the memory if it can be filled again.</summary>
        public void Drop()
        {
            if (!pinned)
            {
                Dispose();
            }
        }

        public void Dispose()
        {
            buffer?.Dispose();
            buffer = null;
        }
    }
}
