using Stig.Model.Operations;

namespace Stig.Model.Graphs;

/// <summary>Reverse-mode differentiation as a graph transformation: appends the nodes that compute gradients.</summary>
internal static class Gradients
{
    /// <summary>
    /// Gradients of a scalar with respect to the given values, in their order; null for a value that the scalar does not depend on.
    /// Updated parameters are constants: a gradient does not flow through an optimizer step.
    /// </summary>
    /// <exception cref="GraphException">The loss is no scalar, or an operation on the way has no gradient rule.</exception>
    public static IReadOnlyList<Value?> Of(Value loss, IReadOnlyList<Value> variables) =>
        loss.Shape.Rank == 0
            ? Of([(loss, loss.Graph.Fill(Shape.Scalar, 1f))], variables)
            : throw new GraphException($"{loss} is no scalar.");

    /// <summary>
    /// Gradients of sum over seeds of sum(value * cotangent) with respect to the given values (vector-Jacobian product).
    /// </summary>
    public static IReadOnlyList<Value?> Of(IReadOnlyList<(Value Value, Value Cotangent)> seeds, IReadOnlyList<Value> variables)
    {
        Graph graph = seeds[0].Value.Graph;
        int nodeCount = graph.Nodes.Count;
        bool[] depends = Dependents(graph, variables);
        var gradients = new Dictionary<Value, Value>();
        using (graph.Scope("gradient"))
        {
            foreach ((Value value, Value cotangent) in seeds)
            {
                if (depends[value.Id])
                {
                    Accumulate(graph, gradients, value, cotangent);
                }
            }

            for (int index = nodeCount - 1; index >= 0; index--)
            {
                Node node = graph.Nodes[index];
                Value?[] outputGradients = [.. node.Outputs.Select(
                    output => output.UpdatedParameter is null ? gradients.GetValueOrDefault(output) : null)];
                bool[] needed = [.. node.Inputs.Select(input => depends[input.Id])];
                if (!needed.Contains(true) || Array.TrueForAll(outputGradients, gradient => gradient is null))
                {
                    continue;
                }

                using IDisposable scope = graph.Scope(node.Name);
                Value?[] inputGradients = node.Operation.Differentiate(new GradientContext(graph, node, outputGradients, needed));
                for (int input = 0; input < node.Inputs.Count; input++)
                {
                    if (needed[input] && inputGradients[input] is Value gradient)
                    {
                        Accumulate(graph, gradients, node.Inputs[input], gradient);
                    }
                }
            }
        }

        return [.. variables.Select(variable => gradients.GetValueOrDefault(variable))];
    }

    // For every value, whether it depends on one of the variables.
    private static bool[] Dependents(Graph graph, IReadOnlyList<Value> variables)
    {
        bool[] depends = new bool[graph.Values.Count];
        foreach (Value variable in variables)
        {
            depends[variable.Id] = true;
        }

        foreach (Node node in graph.Nodes)
        {
            if (node.Inputs.Any(input => depends[input.Id]))
            {
                foreach (Value output in node.Outputs)
                {
                    depends[output.Id] |= output.UpdatedParameter is null;
                }
            }
        }

        return depends;
    }

    private static void Accumulate(Graph graph, Dictionary<Value, Value> gradients, Value value, Value gradient)
    {
        if (gradient.Shape != value.Shape)
        {
            throw new GraphException($"The gradient of {value} came out as {gradient}.");
        }

        gradients[value] = gradients.TryGetValue(value, out Value? sum) ? graph.Add(sum, gradient) : gradient;
    }
}
