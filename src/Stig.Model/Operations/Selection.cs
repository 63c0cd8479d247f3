using Stig.Model.Graphs;

namespace Stig.Model.Operations;

/// <summary>The axes along which tensors are joined and cut.</summary>
internal enum Axis
{
    Batch = 0,
    Channel = 1,
}

/// <summary>Joins tensors along an axis. Executors place the inputs inside the output where the layout allows, and then copy
/// nothing.</summary>
internal sealed record Concat(Axis Axis) : Operation
{
    public override string Name => "concat";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        int axis = (int)Axis;
        Shape first = inputs[0].Shape;
        Require(first.Rank is 2 or 4, inputs, "tensors [N, C, H, W] or [N, K]");
        foreach (Value input in inputs)
        {
            Require(input.Type.Layout == inputs[0].Type.Layout && input.Shape.Rank == first.Rank
                && input.Shape.With(axis, 1) == first.With(axis, 1), inputs, $"tensors equal but for axis {axis}");
        }

        return [inputs[0].Type with { Shape = first.With(axis, inputs.Sum(input => input.Shape[axis])) }];
    }

    public override Value? Recompute(Node node, Func<Value, Value> again) =>
        node.Inputs[0].Graph.ApplySingle(this, [.. node.Inputs.Select(again)]);

    public override Value?[] Differentiate(GradientContext context)
    {
        var gradients = new Value?[context.Node.Inputs.Count];
        int start = 0;
        for (int input = 0; input < gradients.Length; input++)
        {
            int length = context.Input(input).Shape[(int)Axis];
            gradients[input] = context.Needs(input) ? context.Graph.Slice(context.OutputGradient(), Axis, start, length) : null;
            start += length;
        }

        return gradients;
    }
}

/// <summary>Cuts <paramref name="Length"/> images or channels out of a tensor, from <paramref name="Start"/> on.</summary>
internal sealed record Slice(Axis Axis, int Start, int Length) : Operation
{
    public override string Name => "slice";

    public override ViewOffset? ViewOfInput => Axis == Axis.Batch ? new ViewOffset(Start, 0) : new ViewOffset(0, Start);

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape shape = inputs[0].Shape;
        Require(shape.Rank is 2 or 4 && Start >= 0 && Length > 0 && Start + Length <= shape[(int)Axis], inputs,
            $"a tensor [N, C, H, W] or [N, K] whose axis {(int)Axis} has {Start} + {Length} elements");
        return [inputs[0].Type with { Shape = shape.With((int)Axis, Length) }];
    }

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new Embed(Axis, Start, context.Input(0).Shape[(int)Axis]), context.OutputGradient())];
}

/// <summary>The adjoint of <see cref="Slice"/>: a tensor of zeros of <paramref name="Total"/> images or channels with src in it.</summary>
internal sealed record Embed(Axis Axis, int Start, int Total) : Operation
{
    public override string Name => "embed";

    /// <summary>Where src lies in the output.</summary>
    public ViewOffset Offset => Axis == Axis.Batch ? new ViewOffset(Start, 0) : new ViewOffset(0, Start);

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) =>
        [inputs[0].Type with { Shape = inputs[0].Shape.With((int)Axis, Total) }];

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.Slice(context.OutputGradient(), Axis, Start, context.Input(0).Shape[(int)Axis])];
}

/// <summary>The same tensor in another layout: no work where the executor's feature maps are plain already.</summary>
internal sealed record Relayout(TensorLayout Layout) : Operation
{
    public override string Name => "relayout";

    public override ViewOffset? ViewOfInput => new ViewOffset(0, 0);

    public override TensorType[] Infer(IReadOnlyList<Value> inputs) => [inputs[0].Type with { Layout = Layout }];

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new Relayout(context.Input(0).Type.Layout), context.OutputGradient())];
}

/// <summary>
/// Images [N, C, H, W] as rows [N, C H W], channel after channel whatever the layout: no work where the images are planar.
/// </summary>
internal sealed record Flatten : Operation
{
    public override string Name => "flatten";

    public override ViewOffset? ViewOfInput => new ViewOffset(0, 0);

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape src = inputs[0].Shape;
        Require(src.Rank == 4 && inputs[0].Type.Element == ElementType.Float32, inputs, "a float tensor [N, C, H, W]");
        return [TensorType.Float(src.N, src.C * src.H * src.W)];
    }

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new Unflatten(context.Input(0).Type), context.OutputGradient())];
}

/// <summary>The inverse of <see cref="Flatten"/>: rows as images of the given type.</summary>
internal sealed record Unflatten(TensorType ImageType) : Operation
{
    public override string Name => "unflatten";

    public override TensorType[] Infer(IReadOnlyList<Value> inputs)
    {
        Shape images = ImageType.Shape;
        Require(inputs[0].Shape == new Shape(images.N, images.C * images.H * images.W), inputs, $"rows of {images}");
        return [ImageType];
    }

    public override Value?[] Differentiate(GradientContext context) =>
        [context.Graph.ApplySingle(new Flatten(), context.OutputGradient())];
}

internal static class SelectionExtensions
{
    /// <summary>Images as rows.</summary>
    public static Value Flatten(this Graph graph, Value x) => graph.ApplySingle(new Flatten(), x);

    /// <summary>A feature map as a plain tensor.</summary>
    public static Value AsPlain(this Graph graph, Value x) =>
        x.Type.Layout == TensorLayout.Plain ? x : graph.ApplySingle(new Relayout(TensorLayout.Plain), x);

    /// <summary>A plain tensor as a feature map, in the layout of the executor's choice.</summary>
    public static Value AsFeatures(this Graph graph, Value x) =>
        x.Type.Layout == TensorLayout.FeatureMap ? x : graph.ApplySingle(new Relayout(TensorLayout.FeatureMap), x);

    public static Value Concat(this Graph graph, Axis axis, params Value[] parts) =>
        parts.Length == 1 ? parts[0] : graph.ApplySingle(new Concat(axis), parts);

    public static Value Slice(this Graph graph, Value x, Axis axis, int start, int length) =>
        length == x.Shape[(int)axis] ? x : graph.ApplySingle(new Slice(axis, start, length), x);
}
