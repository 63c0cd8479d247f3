using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>
/// dst = scale (src - lo) / (hi - lo) + offset, lo and hi the extremes of each image or of the whole tensor (batch included, as the
/// reference implementation has it). Outputs: dst; lo; hi, [N] or [1], constants to further gradient rules. The gradient flows through
/// the extremes; ties share it equally. A constant input gives offset, where the reference gives NaN.
/// </summary>
internal sealed record RangeNormalize(bool PerImage, float Scale, float Offset) : Operation
{
    public override string Name => "range_normalize";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Type.Layout == TensorLayout.Plain && inputs[0].Shape.Rank is 2 or 4, inputs,
            "a plain tensor [N, C, H, W] or [N, K]");
        TensorType extremes = TensorType.Float(PerImage ? inputs[0].Shape.N : 1, 1);
        return [inputs[0].Type, extremes, extremes];
    }

    public override Value?[] Differentiate(GradientContext context) =>
    [
        context.Graph.ApplySingle(new RangeNormalizeBackward(PerImage, Scale), context.Input(0), context.Output(1), context.Output(2),
            context.OutputGradient()),
    ];
}

/// <summary>Inputs: src, lo, hi, gradient of dst. Output: gradient of src.</summary>
internal sealed record RangeNormalizeBackward(bool PerImage, float Scale) : Operation
{
    public override string Name => "range_normalize_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];
}

/// <summary>The inverse: dst = (src - offset) / scale (hi - lo) + lo. Inputs: src, lo, hi; lo and hi are constants.</summary>
internal sealed record RangeDenormalize(float Scale, float Offset) : Operation
{
    public override string Name => "range_denormalize";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[1].Shape == inputs[2].Shape && (inputs[1].Shape.N == 1 || inputs[1].Shape.N == inputs[0].Shape.N), inputs,
            "src, and lo and hi of one value or one an image");
        return [inputs[0].Type];
    }

    public override Value?[] Differentiate(GradientContext context) =>
    [
        context.Graph.ApplySingle(new RangeDenormalizeBackward(Scale), context.OutputGradient(), context.Input(1), context.Input(2)),
        null,
        null,
    ];
}

/// <summary>Inputs: gradient of dst, lo, hi. Output: gradient of src, (hi - lo) / scale times that of dst.</summary>
internal sealed record RangeDenormalizeBackward(float Scale) : Operation
{
    public override string Name => "range_denormalize_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];
}

internal static class RangeExtensions
{
    /// <summary>Scales to [offset, offset + scale]; also gives the extremes.</summary>
    public static (Value Normalized, Value Lo, Value Hi) RangeNormalize(
        this Graph graph, Value x, bool perImage, float scale = 1f, float offset = 0f)
    {
        IReadOnlyList<Value> outputs = graph.Apply(new RangeNormalize(perImage, scale, offset), x);
        return (outputs[0], outputs[1], outputs[2]);
    }

    public static Value RangeDenormalize(this Graph graph, Value x, Value lo, Value hi, float scale = 1f, float offset = 0f) =>
        graph.ApplySingle(new RangeDenormalize(scale, offset), x, lo, hi);
}
