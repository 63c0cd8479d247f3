using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;

namespace Stig.Model.Tests.Graphs;

/// <summary>Runs graphs on the CPU executor with inputs and parameters drawn from a seed and the value's name.</summary>
internal static class Harness
{
    /// <summary>
    /// Outputs by name after two runs, the first with other inputs, so that nothing a run leaves in memory can pass for a result.
    /// </summary>
    public static Dictionary<string, float[]> Run(Graph graph, int seed, out MemoryPlan plan)
    {
        using var executor = new CpuExecutor();
        using TensorStore store = executor.CreateStore();
        foreach (Value parameter in graph.Parameters.Values)
        {
            store.Create(parameter.Name, parameter.Shape, Draw(parameter, seed));
        }

        using Program program = executor.Compile(graph, store);
        foreach (int values in new[] { seed + 1, seed })
        {
            foreach (Value input in graph.Inputs.Values)
            {
                program.Write<float>(input, Draw(input, values));
            }

            program.Run();
        }

        plan = program.Plan;
        return graph.Outputs.Where(output => output.Value.Type.Element == ElementType.Float32)
            .ToDictionary(output => output.Key, output => program.Read(output.Value));
    }

    public static float[] Draw(Value value, int seed)
    {
        int hash = value.Name.Aggregate(seed, (sum, letter) => unchecked((sum * 31) + letter));
        var random = new Random(hash & int.MaxValue);
        float[] values = new float[value.Shape.Count];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = (float)((2 * random.NextDouble()) - 1);
        }

        return values;
    }

    /// <summary>
    /// Makes every computed value an output: all live to the end, so nothing shares memory and nothing is overwritten. Parts of joined
    /// tensors still live inside them.
    /// </summary>
    public static void KeepEverything(Graph graph)
    {
        foreach (Value value in graph.Values.Where(value => value.Kind == ValueKind.Computed && value.UpdatedParameter is null))
        {
            graph.Output($"kept {value.Id}", value);
        }
    }

    /// <summary>The largest difference, relative to the largest magnitude of the second.</summary>
    public static double Distance(float[] a, float[] b)
    {
        Assert.Equal(b.Length, a.Length);
        double largest = b.Max(value => Math.Abs((double)value));
        double difference = a.Zip(b, (x, y) => Math.Abs((double)x - y)).Max();
        return difference == 0 ? 0 : difference / largest;
    }
}
