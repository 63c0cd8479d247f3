using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>Over what a normalisation takes mean and variance; the numbers are those of the native ABI.</summary>
internal enum NormalizationStatistics
{
    /// <summary>Over images and pixels (batch normalisation in training mode).</summary>
    Batch = 0,

    /// <summary>Over the pixels of each image (instance normalisation): a result does not depend on the other images.</summary>
    PerImage = 1,
}

/// <summary>
/// dst = act((src - mean) / sqrt(variance + eps) * gamma + beta) per channel, biased variance, act(v) = v for v > 0 else slope v (1: none,
/// 0: ReLU). Inputs: src [N, C, H, W], optionally gamma [C] and beta [C]. Outputs: dst, mean and variance [1 or N, C].
/// </summary>
internal sealed record Normalization(NormalizationStatistics Statistics, float Epsilon, float Slope) : Operation
{
    public override string Name => "normalization";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        var channels = new Shape(src.C);
        Require(src.Rank == 4 && (inputs.Count == 1 || (inputs.Count == 3 && inputs[1].Shape == channels && inputs[2].Shape == channels)),
            inputs, "src [N, C, H, W], and gamma [C] and beta [C] or neither");
        TensorType statistics = TensorType.Float(Statistics == NormalizationStatistics.Batch ? 1 : src.N, src.C);
        return [inputs[0].Type, statistics, statistics];
    }

    public override bool MayOverwrite(int input) => input == 0;

    // From the statistics, which are kept.
    public override Value? Recompute(Node node, Func<Value, Value> again) => node.Inputs.Count == 3
        ? node.Inputs[0].Graph.ApplySingle(
            new RunningNormalization(Epsilon, Slope), node.Inputs[0], node.Inputs[1], node.Inputs[2], node.Outputs[1], node.Outputs[2])
        : null;

    public override Value?[] Differentiate(GradientContext context)
    {
        bool affine = context.Node.Inputs.Count == 3;
        var operation = new NormalizationBackward(Statistics, Epsilon, Slope);
        Value[] operands = [context.Input(0), context.OutputAgain(), context.OutputGradient(), context.Output(1), context.Output(2)];
        IReadOnlyList<Value> results = context.Graph.Apply(operation, affine ? [.. operands, context.Input(1)] : operands);
        return affine ? [results[0], results[1], results[2]] : [results[0]];
    }
}

/// <summary>
/// Inputs: src, dst, gradient of dst, mean, variance, optionally gamma. Outputs: gradient of src and, with gamma, of gamma and beta.
/// </summary>
internal sealed record NormalizationBackward(NormalizationStatistics Statistics, float Epsilon, float Slope) : Operation
{
    public override string Name => "normalization_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        TensorType channels = TensorType.Float(inputs[0].Shape.C);
        return inputs.Count == 6 ? [inputs[0].Type, channels, channels] : [inputs[0].Type];
    }

    public override bool MayOmit(int output) => output > 0;

    public override bool MayOverwrite(int input) => input == 2;
}

/// <summary>
/// <see cref="Normalization"/> with given statistics. Inputs: src, gamma [C], beta [C], mean and variance, [C] (running averages) or
/// [1 or N, C]. It has no gradient.
/// </summary>
internal sealed record RunningNormalization(float Epsilon, float Slope) : Operation
{
    public override string Name => "normalization_running";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        var channels = new Shape(src.C);
        Require(inputs.Count == 5 && inputs[1].Shape == channels && inputs[2].Shape == channels && inputs[3].Shape == inputs[4].Shape
            && (inputs[3].Shape == channels || inputs[3].Shape == new Shape(1, src.C) || inputs[3].Shape == new Shape(src.N, src.C)), inputs,
            "src [N, C, H, W], gamma [C], beta [C], and mean and variance [C] or [1 or N, C]");
        return [inputs[0].Type];
    }

    public override bool MayOverwrite(int input) => input == 0;
}

/// <summary>
/// running = (1 - momentum) running + momentum statistic, the variance made unbiased by count / (count - 1). Inputs: mean and
/// variance [G, C] (averaged over G), running mean and running variance [C], which are updated in place.
/// </summary>
internal sealed record RunningStatistics(long Count, float Momentum) : Operation
{
    public override string Name => "running_statistics";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[2].Type, inputs[3].Type];

    public override int? UpdatedInput(int output) => output + 2;
}

internal static class NormalizationExtensions
{
    /// <summary>Normalisation with statistics of the data at hand; the outputs are result, mean, variance.</summary>
    public static IReadOnlyList<Value> Normalization(
        this Graph graph, Value x, Value? gamma, Value? beta, NormalizationStatistics statistics, float epsilon, float slope) =>
        gamma is null || beta is null
            ? graph.Apply(new Normalization(statistics, epsilon, slope), x)
            : graph.Apply(new Normalization(statistics, epsilon, slope), x, gamma, beta);
}
