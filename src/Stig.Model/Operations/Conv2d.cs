using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>
/// Two-dimensional convolution (cross-correlation) with square stride and zero padding. Inputs: src [N, IC, H, W], weights
/// [OC, IC, KH, KW], optionally bias [OC]. Output: feature map [N, OC, (H + 2 padding - KH) / stride + 1, ...].
/// </summary>
internal sealed record Conv2d(int Stride, int Padding) : Operation
{
    public override string Name => "conv2d";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        Shape weights = inputs[1].Shape;
        Require(
            src.Rank == 4 && weights.Rank == 4 && src.C == weights.C
                && (inputs.Count == 2 || inputs[2].Shape == new Shape(weights.N)),
            inputs,
            "src [N, IC, H, W], weights [OC, IC, KH, KW], bias [OC]");
        int height = OutputExtent(src.H, weights.H);
        int width = OutputExtent(src.W, weights.W);
        Require(height > 0 && width > 0, inputs, "src no smaller than the window");
        return [TensorType.Features(new Shape(src.N, weights.N, height, width))];
    }

    public override Value?[] Differentiate(GradientContext context)
    {
        Graph graph = context.Graph;
        Value src = context.Input(0);
        Value weights = context.Input(1);
        Value gradient = context.OutputGradient();
        var gradients = new Value?[context.Node.Inputs.Count];
        if (context.Needs(0))
        {
            gradients[0] = graph.ApplySingle(new Conv2dBackwardData(Stride, Padding, src.Type), gradient, weights);
        }

        bool bias = gradients.Length == 3;
        if (context.Needs(1) || (bias && context.Needs(2)))
        {
            IReadOnlyList<Value> results = graph.Apply(new Conv2dBackwardWeights(Stride, Padding, weights.Shape), context.InputAgain(0), gradient);
            gradients[1] = results[0];
            if (bias)
            {
                gradients[2] = results[1];
            }
        }

        return gradients;
    }

    private int OutputExtent(int extent, int kernel) => (extent + (2 * Padding) - kernel) / Stride + 1;
}

/// <summary>Inputs: gradient of the output, weights. Output: gradient of src, of the given type.</summary>
internal sealed record Conv2dBackwardData(int Stride, int Padding, TensorType SourceType) : Operation
{
    public override string Name => "conv2d_backward_data";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [SourceType];
}

/// <summary>Inputs: src, gradient of the output. Outputs: gradient of the weights, gradient of the bias.</summary>
internal sealed record Conv2dBackwardWeights(int Stride, int Padding, Shape WeightsShape) : Operation
{
    public override string Name => "conv2d_backward_weights";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [TensorType.Float(WeightsShape), TensorType.Float(WeightsShape.N)];

    public override bool MayOmit(int output) => output == 1;
}

internal static class Conv2dExtensions
{
    public static Value Conv2d(this Graph graph, Value x, Value weights, Value? bias, int stride, int padding) =>
        bias is null
            ? graph.ApplySingle(new Conv2d(stride, padding), x, weights)
            : graph.ApplySingle(new Conv2d(stride, padding), x, weights, bias);
}
