using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>Maximum of 2x2 windows, stride 2; height and width even. The gradient goes to the first largest of a window.</summary>
internal sealed record MaxPool2x2 : Operation
{
    public override string Name => "max_pool";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        Require(src.Rank == 4 && src.H % 2 == 0 && src.W % 2 == 0, inputs, "a tensor [N, C, H, W] of even height and width");
        return [inputs[0].Type with { Shape = new Shape(src.N, src.C, src.H / 2, src.W / 2) }];
    }

    public override Value? Recompute(Node node, Func<Value, Value> again) => node.Inputs[0].Graph.ApplySingle(this, again(node.Inputs[0]));

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new MaxPool2x2Backward(), context.InputAgain(0), context.OutputGradient())];
}

/// <summary>Inputs: src of the pooling, gradient of its result. Output: gradient of src.</summary>
internal sealed record MaxPool2x2Backward : Operation
{
    public override string Name => "max_pool_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];
}

/// <summary>Mean of 2x2 windows, stride 2; height and width even.</summary>
internal sealed record AveragePool2x2 : Operation
{
    public override string Name => "average_pool";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        Require(src.Rank == 4 && src.H % 2 == 0 && src.W % 2 == 0, inputs, "a tensor [N, C, H, W] of even height and width");
        return [inputs[0].Type with { Shape = new Shape(src.N, src.C, src.H / 2, src.W / 2) }];
    }

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new AveragePool2x2Backward(), context.OutputGradient())];
}

/// <summary>The adjoint of <see cref="AveragePool2x2"/>: every value of a window gets a quarter.</summary>
internal sealed record AveragePool2x2Backward : Operation
{
    public override string Name => "average_pool_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        return [inputs[0].Type with { Shape = new Shape(src.N, src.C, src.H * 2, src.W * 2) }];
    }
}

/// <summary>Bicubic up-sampling by two: cubic convolution with a = -0.75, half-pixel centres, indices clamped at the border.</summary>
internal sealed record BicubicUp2 : Operation
{
    public override string Name => "bicubic_up2";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        Require(src.Rank == 4, inputs, "a tensor [N, C, H, W]");
        return [inputs[0].Type with { Shape = new Shape(src.N, src.C, src.H * 2, src.W * 2) }];
    }

    public override Value? Recompute(Node node, Func<Value, Value> again) => node.Inputs[0].Graph.ApplySingle(this, again(node.Inputs[0]));

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new BicubicUp2Backward(), context.OutputGradient())];
}

/// <summary>The adjoint of <see cref="BicubicUp2"/>.</summary>
internal sealed record BicubicUp2Backward : Operation
{
    public override string Name => "bicubic_up2_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        return [inputs[0].Type with { Shape = new Shape(src.N, src.C, src.H / 2, src.W / 2) }];
    }
}

internal static class ResampleExtensions
{
    public static Value MaxPool2x2(this Graph graph, Value x) => graph.ApplySingle(new MaxPool2x2(), x);

    public static Value AveragePool2x2(this Graph graph, Value x) => graph.ApplySingle(new AveragePool2x2(), x);

    public static Value BicubicUp2(this Graph graph, Value x) => graph.ApplySingle(new BicubicUp2(), x);
}
