using Stig.Model.Graphs;

namespace Stig.Model.Execution;

/// <summary>Runs graphs on a device. The CPU executor stands behind it; networks, losses and training know only this.</summary>
internal abstract class Executor : IDisposable
{
    private readonly HashSet<string> told = [];

    /// <summary>The device as the user names it: "cpu", "cuda:0".</summary>
    public abstract string DeviceName { get; }

    /// <summary>Receives what a user should know of how the executor computes, each sentence once; null drops it.</summary>
    public Action<string>? Warn { get; set; }

    /// <summary>What the last bits of results depend on: the device, and where it matters instruction set, library and threads.</summary>
    public virtual string Arithmetic => DeviceName;

    /// <summary>Relative error of storing a value in a feature map: 0 for float32, 2^-9 for bfloat16.</summary>
    public virtual double FeatureRounding => 0;

    /// <summary>Relative error of a factor of a convolution's products: 0 for float32, 2^-11 for TF32.</summary>
    public virtual double ProductRounding => 0;

    /// <summary>Whether this executor has a kernel for a node.</summary>
    public abstract bool CanRun(Node node);

    /// <summary>An empty store on this device.</summary>
    public abstract TensorStore CreateStore();

    /// <summary>Plans memory, builds kernels, and gives a program that can be run many times.</summary>
    /// <exception cref="GraphException">A parameter of the graph is not in the store, or has another shape there.</exception>
    public abstract Program Compile(Graph graph, TensorStore store);

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Passes a sentence on to <see cref="Warn"/>, unless it has been passed on before.</summary>
    internal void Tell(string sentence)
    {
        if (told.Add(sentence))
        {
            Warn?.Invoke(sentence);
        }
    }

    /// <summary>Checks that a store has every parameter of a graph, in its shape.</summary>
    protected static void CheckParameters(Graph graph, TensorStore store)
    {
        foreach (Value parameter in graph.Parameters.Values)
        {
            if (!store.Shapes.TryGetValue(parameter.Name, out Shape shape))
            {
                throw new GraphException($"The store has no parameter {parameter.Name}.");
            }

            if (shape != parameter.Shape)
            {
                throw new GraphException($"Parameter {parameter.Name} is {shape} in the store and {parameter.Shape} in the graph.");
            }
        }
    }

    protected abstract void Dispose(bool disposing);
}

/// <summary>An update met numbers that are not finite. The run ended there; what it had updated until then is not to be kept.</summary>
/// <param name="node">The node of the update; the run ended with it.</param>
/// <param name="message">What of which parameter is not finite.</param>
internal sealed class NotFiniteException(Node node, string message) : Exception(message)
{
    public Node Node => node;
}

/// <summary>A compiled graph with its memory. Not for use by several threads at a time.</summary>
internal abstract class Program : IDisposable
{
    /// <summary>The memory plan, for reports.</summary>
    public abstract MemoryPlan Plan { get; }

    /// <summary>Sets an input; it keeps its value until it is set again.</summary>
    public abstract void Write<T>(Value input, ReadOnlySpan<T> data) where T : unmanaged;

    /// <summary>Runs all nodes.</summary>
    /// <exception cref="NotFiniteException">An update met numbers that are not finite.</exception>
    public abstract void Run();

    /// <summary>Copies an output of the graph out, in row-major order of its shape. Waits for the run.</summary>
    public abstract void Read<T>(Value output, Span<T> data) where T : unmanaged;

    /// <summary>An output of one element.</summary>
    public float ReadScalar(Value output)
    {
        Span<float> value = stackalloc float[1];
        Read(output, value);
        return value[0];
    }

    /// <summary>An output's values, in a new array.</summary>
    public float[] Read(Value output)
    {
        float[] values = new float[output.Shape.Count];
        Read<float>(output, values);
        return values;
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected abstract void Dispose(bool disposing);
}
