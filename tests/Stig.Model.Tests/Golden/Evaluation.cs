using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Golden;

/// <summary>A graph, its inputs and parameters, and what its values are compared with.</summary>
/// <param name="parameters">Values of a parameter, by name.</param>
/// <param name="graph">The graph; a new one if none is given.</param>
/// <param name="executor">Where it runs; disposed at the end. On the CPU with direct convolutions if none is given.</param>
internal sealed class Evaluation(Func<string, float[]> parameters, Graph? graph = null, Executor? executor = null) : IDisposable
{
    private readonly Executor executor = executor ?? new CpuExecutor();
    private readonly List<Action<Program>> writes = [];
    private readonly List<Action<Program>> comparisons = [];
    private TensorStore? store;

    public Graph Graph { get; } = graph ?? new Graph();

    /// <summary>An input of the shape and with the values of a reference tensor.</summary>
    public Value Input(GoldenFile file, string tensor) =>
        Input(tensor, TensorType.Float(file.ShapeOf(tensor)), file.Floats(tensor));

    /// <summary>Positions given by a reference tensor.</summary>
    public Value Positions(GoldenFile file, string tensor)
    {
        int[] positions = file.Positions(tensor);
        return Input(tensor, TensorType.Integers(positions.Length), positions);
    }

    public Value Input<T>(string name, TensorType type, T[] values) where T : unmanaged
    {
        Value input = Graph.Input(name, type);
        Set(input, values);
        return input;
    }

    /// <summary>Gives an input of the graph its values.</summary>
    public void Set<T>(Value input, T[] values) where T : unmanaged => writes.Add(program => program.Write<T>(input, values));

    /// <summary>Compares a value with the reference tensor of that name after the run.</summary>
    public void Expect(GoldenCheck check, string tensor, Value? value)
    {
        if (check.Expects(tensor))
        {
            Value known = value ?? throw new GraphException($"The graph has no value for {tensor}.");
            Read(known, values => check.Tensor(tensor, values));
        }
    }

    /// <summary>Compares gradients with the reference tensors of those names.</summary>
    public void ExpectGradients(
        GoldenCheck check, Value value, Value cotangent, params (string Tensor, Value Variable)[] gradients)
    {
        IReadOnlyList<Value?> found = Gradients.Of([(value, cotangent)], [.. gradients.Select(gradient => gradient.Variable)]);
        for (int i = 0; i < gradients.Length; i++)
        {
            Expect(check, gradients[i].Tensor, found[i]);
        }
    }

    /// <summary>Compares gradients of a scalar with the reference tensors of those names.</summary>
    public void ExpectGradients(GoldenCheck check, Value scalar, params (string Tensor, Value Variable)[] gradients) =>
        ExpectGradients(check, scalar, Graph.Fill(Shape.Scalar, 1f), gradients);

    /// <summary>Reads a value after the run; complex ones as real and imaginary parts in turn.</summary>
    public void Read(Value value, Action<float[]> use) => Read<float>(value, use);

    /// <summary>Reads a value of bytes after the run.</summary>
    public void ReadBytes(Value value, Action<byte[]> use) => Read<byte>(value, use);

    /// <summary>Reads two values after the run.</summary>
    public void Read(Value first, Value second, Action<float[], float[]> use)
    {
        float[] held = [];
        Read(first, values => held = values);
        Read(second, values => use(held, values));
    }

    /// <summary>Runs the graph once and makes the comparisons.</summary>
    public void Run()
    {
        store = executor.CreateStore();
        foreach (Value parameter in Graph.Parameters.Values)
        {
            store.Create(parameter.Name, parameter.Shape, parameters(parameter.Name));
        }

        using Program program = executor.Compile(Graph, store);
        writes.ForEach(write => write(program));
        program.Run();
        comparisons.ForEach(compare => compare(program));
    }

    /// <summary>A parameter after the run.</summary>
    public float[] Parameter(string name) => store!.Read(name);

    public void Dispose()
    {
        store?.Dispose();
        executor.Dispose();
    }

    private unsafe void Read<T>(Value value, Action<T[]> use) where T : unmanaged
    {
        if (!Graph.Outputs.Values.Contains(value))
        {
            Graph.Output($"read {Graph.Outputs.Count}", value);
        }

        comparisons.Add(program =>
        {
            T[] values = new T[value.Type.ByteCount / sizeof(T)];
            program.Read<T>(value, values);
            use(values);
        });
    }
}
