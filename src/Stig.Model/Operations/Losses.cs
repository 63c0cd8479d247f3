using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>mean((src - target)^2): the least-squares adversarial loss. Output: a scalar.</summary>
internal sealed record MeanSquaredError(float Target) : Operation
{
    public override string Name => "mse";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [TensorType.Float()];

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new MeanSquaredErrorBackward(Target), context.Input(0), context.OutputGradient())];
}

/// <summary>Inputs: src, gradient of the loss. Output: gradient of src.</summary>
internal sealed record MeanSquaredErrorBackward(float Target) : Operation
{
    public override string Name => "mse_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];
}

/// <summary>
/// sqrt(mean((a - b)^2)) over rows and columns from half - radius to half + radius - 1. The gradient is 0 where the loss is 0 (the
/// reference implementation gives NaN).
/// </summary>
internal sealed record LowFrequencyDistance(int Radius) : Operation
{
    public override string Name => "low_frequency";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape shape = inputs[0].Shape;
        Require(inputs[0].Type == inputs[1].Type && shape.Rank == 4 && shape.H >= 2 * Radius && shape.W >= 2 * Radius, inputs,
            $"two spectra of one type, at least {2 * Radius} x {2 * Radius}");
        return [TensorType.Float()];
    }

    public override Value?[] Differentiate(GradientContext context)
    {
        Value a = context.Graph.ApplySingle(
            new LowFrequencyDistanceBackward(Radius), context.Input(0), context.Input(1), context.Output(), context.OutputGradient());
        return [a, context.Needs(1) ? context.Graph.Affine(a, -1f) : null];
    }
}

/// <summary>Inputs: a, b, loss, gradient of the loss. Output: gradient of a; that of b is its negative.</summary>
internal sealed record LowFrequencyDistanceBackward(int Radius) : Operation
{
    public override string Name => "low_frequency_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];
}

/// <summary>
/// Mean structural similarity (Wang et al. 2004): Gaussian window 35, sigma 1.5, zero padding, C1 = 0.01^2, C2 = 0.03^2. Output: a scalar.
/// </summary>
internal sealed record StructuralSimilarity : Operation
{
    public override string Name => "ssim";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Type == inputs[1].Type && inputs[0].Shape.Rank == 4, inputs, "two images of one type");
        return [TensorType.Float()];
    }

    public override Value?[] Differentiate(GradientContext context)
    {
        Value a = context.Input(0);
        Value b = context.Input(1);
        Value gradient = context.OutputGradient();
        return
        [
            context.Needs(0) ? context.Graph.ApplySingle(new StructuralSimilarityBackward(), b, a, gradient) : null,
            context.Needs(1) ? context.Graph.ApplySingle(new StructuralSimilarityBackward(), a, b, gradient) : null,
        ];
    }
}

/// <summary>Inputs: a, b, gradient of the similarity. Output: gradient of b.</summary>
internal sealed record StructuralSimilarityBackward : Operation
{
    public override string Name => "ssim_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[1].Type];
}

/// <summary>
/// Mean over rows of ln(sum_j exp(z_j)) - z_label: softmax and negative log likelihood in one. Inputs: logits [N, K], labels int32 [N] in
/// 0 .. K - 1. Output: a scalar.
/// </summary>
internal sealed record CrossEntropy : Operation
{
    public override string Name => "cross_entropy";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Shape.Rank == 2 && inputs[1].Type == TensorType.Integers(inputs[0].Shape.N), inputs,
            "logits [N, K], int32 labels [N]");
        return [TensorType.Float()];
    }

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new CrossEntropyBackward(), context.Input(0), context.Input(1), context.OutputGradient()), null];
}

/// <summary>Inputs: logits, labels, gradient of the loss. Output: gradient of the logits.</summary>
internal sealed record CrossEntropyBackward : Operation
{
    public override string Name => "cross_entropy_backward";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];
}

internal static class LossExtensions
{
    public static Value CrossEntropy(this Graph graph, Value logits, Value labels) => graph.ApplySingle(new CrossEntropy(), logits, labels);

    public static Value MeanSquaredError(this Graph graph, Value x, float target) => graph.ApplySingle(new MeanSquaredError(target), x);

    public static Value LowFrequencyDistance(this Graph graph, Value a, Value b, int radius) =>
        graph.ApplySingle(new LowFrequencyDistance(radius), a, b);

    public static Value StructuralSimilarity(this Graph graph, Value a, Value b) => graph.ApplySingle(new StructuralSimilarity(), a, b);
}
