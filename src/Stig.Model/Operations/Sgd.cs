using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>
/// One step of stochastic gradient descent with momentum (Sutskever et al. 2013, in PyTorch's form): b = momentum b + g, w = w - lr b; b
/// starts at zero. Inputs: weights, gradient, b, learning rate (scalar). Outputs: the updated weights and b, in place.
/// </summary>
internal sealed record Sgd(float Momentum) : Operation
{
    public override string Name => "sgd";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs.Count == 4 && inputs[1].Shape == inputs[0].Shape && inputs[2].Shape == inputs[0].Shape
            && inputs[3].Shape.Count == 1, inputs, "weights, gradient and velocity of one shape, a scalar");
        return [inputs[0].Type, inputs[2].Type];
    }

    public override int? UpdatedInput(int output) => output == 0 ? 0 : 2;
}

internal static class SgdExtensions
{
    /// <summary>Updates a parameter and its velocity; gives the updated parameter.</summary>
    public static Value Sgd(this Graph graph, Sgd operation, Value weights, Value gradient, Value velocity, Value learningRate) =>
        graph.ApplySingle(operation, weights, gradient, velocity, learningRate);
}
