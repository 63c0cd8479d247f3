using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>dst [N, O] = src [N, K] weights [O, K]^T + bias [O].</summary>
internal sealed record Linear : Operation
{
    public override string Name => "linear";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        Shape weights = inputs[1].Shape;
        Require(src.Rank == 2 && weights.Rank == 2 && src[1] == weights[1] && inputs[2].Shape == new Shape(weights[0]), inputs,
            "src [N, K], weights [O, K], bias [O]");
        return [TensorType.Float(src[0], weights[0])];
    }

    public override Value?[] Differentiate(GradientContext context)
    {
        Graph graph = context.Graph;
        Value gradient = context.OutputGradient();
        Value? source = context.Needs(0) ? graph.ApplySingle(new LinearBackwardData(), gradient, context.Input(1)) : null;
        if (!context.Needs(1) && !context.Needs(2))
        {
            return [source, null, null];
        }

        IReadOnlyList<Value> results = graph.Apply(new LinearBackwardWeights(), context.Input(0), gradient);
        return [source, results[0], results[1]];
    }
}

/// <summary>Inputs: gradient of dst [N, O], weights [O, K]. Output: gradient of src [N, K].</summary>
internal sealed record LinearBackwardData : Operation
{
    public override string Name => "linear_backward_data";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [TensorType.Float(inputs[0].Shape[0], inputs[1].Shape[1])];
}

/// <summary>Inputs: src [N, K], gradient of dst [N, O]. Outputs: gradient of the weights [O, K], of the bias [O].</summary>
internal sealed record LinearBackwardWeights : Operation
{
    public override string Name => "linear_backward_weights";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) =>
        [TensorType.Float(inputs[1].Shape[1], inputs[0].Shape[1]), TensorType.Float(inputs[1].Shape[1])];
}

internal static class LinearExtensions
{
    public static Value Linear(this Graph graph, Value x, Value weights, Value bias) => graph.ApplySingle(new Linear(), x, weights, bias);
}
