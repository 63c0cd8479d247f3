using Stig.Model.Graphs;

namespace Stig.Model.Execution;

/// <summary>
/// Named float32 tensors that live on a device between runs: weights, moments, running statistics, the filter. Programs compiled against
/// the same store share them.
/// </summary>
internal abstract class TensorStore : IDisposable
{
    /// <summary>Names and shapes, in the order of creation.</summary>
    public abstract IReadOnlyDictionary<string, Shape> Shapes { get; }

    /// <summary>Bytes that the tensors occupy.</summary>
    public virtual long HeldBytes => Shapes.Values.Sum(shape => shape.Count * sizeof(float));

    /// <summary>Adds a tensor with the given values.</summary>
    /// <exception cref="ArgumentException">The name is taken, or the count is not that of the shape.</exception>
    public abstract void Create(string name, Shape shape, ReadOnlySpan<float> values);

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
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}
