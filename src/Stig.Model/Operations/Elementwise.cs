using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>dst = value everywhere.</summary>
internal sealed record Fill(Shape Shape, float Constant) : Operation
{
    public override string Name => "fill";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [TensorType.Float(Shape)];
}

/// <summary>dst = scale * src + offset.</summary>
internal sealed record Affine(float Scale, float Offset) : Operation
{
    public override string Name => "affine";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type];

    public override bool MayOverwrite(int input) => true;

    public override Value?[] Differentiate(GradientContext context) => [context.Graph.Affine(context.OutputGradient(), Scale)];
}

/// <summary>dst = a + b; b may have one image, which is then added to every image of a.</summary>
internal sealed record Add : Operation
{
    public override string Name => "add";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [Broadcast.Infer(this, inputs)];

    public override bool MayOverwrite(int input) => input == 0;

    public override Value?[] Differentiate(GradientContext context)
    {
        Value gradient = context.OutputGradient();
        return [gradient, context.Needs(1) ? Broadcast.Reduce(context, gradient) : null];
    }
}

/// <summary>dst = a * b; b may have one image, which then multiplies every image of a.</summary>
internal sealed record Multiply : Operation
{
    public override string Name => "multiply";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [Broadcast.Infer(this, inputs)];

    public override bool MayOverwrite(int input) => input == 0;

    public override Value?[] Differentiate(GradientContext context)
    {
        Value gradient = context.OutputGradient();
        return
        [
            context.Needs(0) ? context.Graph.Multiply(gradient, context.Input(1)) : null,
            context.Needs(1) ? Broadcast.Reduce(context, context.Graph.Multiply(gradient, context.Input(0))) : null,
        ];
    }
}

/// <summary>
/// dst[i] = factor[i] * src[i] for every image i. Inputs: src [N, ...], planar, and factors [N, 1]. The factors are constants to the gradient.
/// </summary>
internal sealed record ScaleImages : Operation
{
    public override string Name => "scale_images";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Type.Layout == TensorLayout.Plain && inputs[1].Shape == new Shape(inputs[0].Shape.N, 1), inputs,
            "planar src [N, ...] and factors [N, 1]");
        return [inputs[0].Type];
    }

    public override bool MayOverwrite(int input) => input == 0;

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Needs(0) ? context.Graph.ScaleImages(context.OutputGradient(), context.Input(1)) : null, null];
}

/// <summary>dst[0] = sum over images of src.</summary>
internal sealed record SumBatch(Shape Shape) : Operation
{
    public override string Name => "sum_batch";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape from = inputs[0].Shape;
        Require((from.C, from.H, from.W) == (Shape.C, Shape.H, Shape.W) && Shape.N == 1, inputs, $"images of {Shape}");
        return [inputs[0].Type with { Shape = Shape }];
    }

    public override Value?[] Differentiate(GradientContext context)
    {
        TensorType type = context.Input(0).Type;
        Value zeros = context.Graph.Fill(type.Shape, 0f);
        return [context.Graph.Add(type.Layout == TensorLayout.Plain ? zeros : context.Graph.AsFeatures(zeros), context.OutputGradient())];
    }
}

/// <summary>
/// dst[i, j] = src[(i - images) mod N, (j - channels) mod C]: the reference implementation's shift, called without an axis list, rolls
/// batch and channels as well as rows and columns.
/// </summary>
internal sealed record Roll(int Images, int Channels) : Operation
{
    public override string Name => "roll";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Require(inputs[0].Type.Layout == TensorLayout.Plain, inputs, "a plain tensor");
        return [inputs[0].Type];
    }

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.Roll(context.OutputGradient(), -Images, -Channels)];
}

internal static class Broadcast
{
    internal static TensorType Infer(Operation operation, IReadOnlyList<Value> inputs)
    {
        Shape a = inputs[0].Shape;
        Shape b = inputs[1].Shape;
        bool fits = (b.N == a.N || b.N == 1) && (a.C, a.H, a.W) == (b.C, b.H, b.W) && inputs[0].Type.Layout == inputs[1].Type.Layout;
        return fits
            ? inputs[0].Type
            : throw new GraphException($"{operation.Name}: {inputs[1]} cannot be broadcast to {inputs[0]}.");
    }

    // The gradient of the broadcast operand: summed over the images it served.
    internal static Value Reduce(GradientContext context, Value gradient)
    {
        Shape b = context.Input(1).Shape;
        return b.N == gradient.Shape.N && b.Rank == gradient.Shape.Rank ? gradient : context.Graph.ApplySingle(new SumBatch(b), gradient);
    }
}

internal static class ElementwiseExtensions
{
    public static Value Fill(this Graph graph, Shape shape, float value) => graph.ApplySingle(new Fill(shape, value));

    public static Value Affine(this Graph graph, Value x, float scale, float offset = 0f) =>
        graph.ApplySingle(new Affine(scale, offset), x);

    public static Value Add(this Graph graph, Value a, Value b) => graph.ApplySingle(new Add(), a, b);

    public static Value Multiply(this Graph graph, Value a, Value b) => graph.ApplySingle(new Multiply(), a, b);

    public static Value ScaleImages(this Graph graph, Value x, Value factors) => graph.ApplySingle(new ScaleImages(), x, factors);

    /// <summary>Rolls the batch and channel axes; see <see cref="Operations.Roll"/>.</summary>
    public static Value Roll(this Graph graph, Value x, int images, int channels) => graph.ApplySingle(new Roll(images, channels), x);

    /// <summary>Sum of weight_i * scalar_i; terms of weight 0 are left out.</summary>
    public static Value WeightedSum(this Graph graph, params (float Weight, Value Scalar)[] terms)
    {
        Value? sum = null;
        foreach ((float weight, Value scalar) in terms)
        {
            if (weight == 0)
            {
                continue;
            }

            Value term = weight == 1 ? scalar : graph.Affine(scalar, weight);
            sum = sum is null ? term : graph.Add(sum, term);
        }

        return sum ?? throw new GraphException("A weighted sum needs a term whose weight is not zero.");
    }
}
