using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>
/// One step of Adam (Kingma and Ba 2015): m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, w = w - lr (m / (1 - b1^t)) /
/// (sqrt(v / (1 - b2^t)) + eps). Inputs: weights, gradient, m, v, learning rate and step t (scalars). Outputs: the updated
/// weights, m, v, in place.
/// </summary>
internal sealed record Adam(double Beta1, double Beta2, double Epsilon) : Operation
{
    public override string Name => "adam";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs.Count == 6 && inputs[1].Shape == inputs[0].Shape && inputs[2].Shape == inputs[0].Shape
            && inputs[3].Shape == inputs[0].Shape && inputs[4].Shape.Count == 1 && inputs[5].Shape.Count == 1, inputs,
            "weights, gradient and two moments of one shape, two scalars");
        return [inputs[0].Type, inputs[2].Type, inputs[3].Type];
    }

    public override int? UpdatedInput(int output) => output switch { 0 => 0, 1 => 2, _ => 3 };
}

internal static class AdamExtensions
{
    /// <summary>Updates a parameter and its moments; gives the updated parameter.</summary>
    public static Value Adam(
        this Graph graph, Adam operation, Value weights, Value gradient, Value firstMoment, Value secondMoment,
        Value learningRate, Value step) =>
        graph.ApplySingle(operation, weights, gradient, firstMoment, secondMoment, learningRate, step);
}
