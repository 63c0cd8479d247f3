using Stig.Model.Graphs;

namespace Stig.Model.Execution;

/// <summary>Fills memory with the values of a tensor.</summary>
internal delegate void TensorFill(Span<float> values);

/// <summary>
/// Named float32 tensors that live on a device between runs: weights, moments, running statistics, the filter. Programs compiled against
/// the same store share them.
/// </summary>
internal abstract class TensorStore : IDisposable
{
    private readonly List<IDisposable> sources = [];

    /// <summary>Names and shapes, in the order of creation.</summary>
    public abstract IReadOnlyDictionary<string, Shape> Shapes { get; }

    /// <summary>Bytes that the tensors occupy.</summary>
    public virtual long HeldBytes => Shapes.Values.Sum(shape => shape.Count * sizeof(float));

    /// <summary>Adds a tensor with the given values.</summary>
    /// <exception cref="ArgumentException">The name is taken, or the count is not that of the shape.</exception>
    public abstract void Create(string name, Shape shape, ReadOnlySpan<float> values);

    /// <summary>
    /// Adds a tensor that nothing will change. Its values may be asked for more than once: an executor that holds them in a form of its own
    /// need not keep them as they are.
    /// </summary>
    public virtual void CreateConstant(string name, Shape shape, TensorFill fill)
    {
        float[] values = new float[shape.Count];
        fill(values);
        Create(name, shape, values);
    }

    /// <summary>Disposes of what tensors are filled from together with the store.</summary>
    public void Keep(IDisposable source) => sources.Add(source);

    /// <summary>Replaces the values of a tensor.</summary>
    public abstract void Write(string name, ReadOnlySpan<float> values);

    /// <summary>Copies the values of a tensor out.</summary>
    public abstract void Read(string name, Span<float> values);

    /// <summary>The values of a tensor, in a new array.</summary>
    public float[] Read(string name)
    {
        float[] values = new float[Shapes[name].Count];
        Read(name, values);
        return values;
    }

    public void Dispose()
    {
        Dispose(true);
        sources.ForEach(source => source.Dispose());
        sources.Clear();
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}
