using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>
/// Joining, cutting and embedding, where executors may lay values inside each other: parts are results, inputs, or used twice, and channel
/// counts are such that a blocked layout allows views, or not.
/// </summary>
internal static class SelectionCases
{
    public static IReadOnlyList<OperationCase> All { get; } =
    [
        Concat("channels 3 + 5, planar", Axis.Channel, new Shape(2, 3, 5, 7), new Shape(2, 5, 5, 7), false),
        Concat("channels 16 + 32, feature map", Axis.Channel, new Shape(2, 16, 5, 7), new Shape(2, 32, 5, 7), true),
        Concat("channels 8 + 16, feature map", Axis.Channel, new Shape(2, 8, 5, 7), new Shape(2, 16, 5, 7), true),
        Concat("channels 3 + 5, feature map", Axis.Channel, new Shape(2, 3, 5, 7), new Shape(2, 5, 5, 7), true),
        Concat("channels 13 + 4, feature map", Axis.Channel, new Shape(2, 13, 5, 7), new Shape(2, 4, 5, 7), true),
        Concat("images 1 + 2, planar", Axis.Batch, new Shape(1, 3, 5, 7), new Shape(2, 3, 5, 7), false),
        Concat("images 2 + 1, feature map", Axis.Batch, new Shape(2, 16, 5, 7), new Shape(1, 16, 5, 7), true),
        Concat("rows 3 + 4", Axis.Batch, new Shape(3, 13), new Shape(4, 13), false),
        Concat("columns 3 + 4", Axis.Channel, new Shape(5, 3), new Shape(5, 4), false),
        .. from axis in new[] { Axis.Batch, Axis.Channel }
           from features in new[] { false, true }
           select ConcatTwice(axis, features),
        .. from axis in new[] { Axis.Batch, Axis.Channel }
           from features in new[] { false, true }
           select ConcatInput(axis, features),
        ConcatNested(),
        Slice("channels, planar", new Shape(2, 8, 5, 7), Axis.Channel, 3, 2, false),
        Slice("channels at multiples of 16, feature map", new Shape(2, 48, 5, 7), Axis.Channel, 16, 16, true),
        Slice("channels between multiples of 16, feature map", new Shape(2, 48, 5, 7), Axis.Channel, 8, 16, true),
        Slice("channels 3 to 9 of 13, feature map", new Shape(2, 13, 5, 7), Axis.Channel, 3, 7, true),
        Slice("channels 8 to 12 of 13, feature map", new Shape(2, 13, 5, 7), Axis.Channel, 8, 5, true),
        Slice("images, planar", new Shape(3, 3, 33, 47), Axis.Batch, 1, 2, false),
        Slice("images, feature map", new Shape(3, 16, 5, 7), Axis.Batch, 1, 1, true),
        Slice("rows", new Shape(5, 13), Axis.Batch, 2, 2, false),
        Slice("columns", new Shape(5, 13), Axis.Channel, 2, 7, false),
        Embed("channels, planar", new Shape(2, 3, 5, 7), Axis.Channel, 2, 8, false),
        Embed("channels at a multiple of 16, feature map", new Shape(2, 16, 5, 7), Axis.Channel, 16, 48, true),
        Embed("channels between multiples of 16, feature map", new Shape(2, 16, 5, 7), Axis.Channel, 8, 48, true),
        Embed("images, planar", new Shape(1, 3, 5, 7), Axis.Batch, 1, 3, false),
        Embed("images, feature map", new Shape(2, 16, 5, 7), Axis.Batch, 1, 3, true),
        Relayout(3),
        Relayout(13),
        Relayout(16),
        Relayout(48),
        .. new[] { new Shape(1, 1, 1, 1), new Shape(2, 3, 5, 7), new Shape(3, 16, 5, 7) }.Select(Flatten),
        .. new[] { new Shape(2, 3, 5, 7), new Shape(3, 16, 5, 7) }.Select(Unflatten),
        FlattenPart(Axis.Batch, 1, 2),
        FlattenPart(Axis.Channel, 1, 2),
        FlattenAndCut(),
    ];

    // The parts are results of other nodes, so that an executor may lay them into the joined tensor.
    private static OperationCase Concat(string what, Axis axis, Shape a, Shape b, bool features) => new()
    {
        Name = $"concat/{what}",
        Inputs = [CaseInput.Variable("a", a, Fills.Normal()), CaseInput.Variable("b", b, Fills.Normal())],
        Build = (graph, x) => [graph.Concat(axis, Twice(graph, x[0], features), Twice(graph, x[1], features))],
        Oracle = x => [SelectionOracles.Concat(axis, x[0].Map(value => 2 * value), x[1].Map(value => 2 * value))],
        Outputs = [new("dst", Bound.Exact)],
        Gradient = Bound.Elementwise,
        PerImage = axis == Axis.Channel,
    };

    // The joined tensor is used twice and so is one of its parts, which is read outside, too.
    private static OperationCase ConcatTwice(Axis axis, bool features) => new()
    {
        Name = $"concat/a part used twice, {Describe(axis, features)}",
        Inputs =
        [
            CaseInput.Variable("a", new Shape(2, 16, 5, 7), Fills.Normal()),
            CaseInput.Variable("b", new Shape(2, 16, 5, 7), Fills.Normal()),
        ],
        Build = (graph, x) =>
        {
            Value a = Twice(graph, x[0], features);
            Value b = Twice(graph, x[1], features);
            Value first = graph.Concat(axis, a, b, a);
            Value second = graph.Concat(axis, b, a, b);
            return [graph.Add(graph.Multiply(first, second), graph.Concat(axis, a, graph.Add(a, b), b))];
        },
        Oracle = x =>
        {
            Tensor a = x[0].Map(value => 2 * value);
            Tensor b = x[1].Map(value => 2 * value);
            Tensor first = SelectionOracles.Concat(axis, a, b, a);
            Tensor second = SelectionOracles.Concat(axis, b, a, b);
            Tensor third = SelectionOracles.Concat(axis, a, ElementwiseOracles.Combine(a, b, (p, q) => p + q), b);
            return [ElementwiseOracles.Combine(ElementwiseOracles.Combine(first, second, (p, q) => p * q), third, (p, q) => p + q)];
        },
        Outputs = [new("dst", Bound.Elementwise)],
        Gradient = Bound.Elementwise,
    };

    private static OperationCase ConcatInput(Axis axis, bool features) => new()
    {
        Name = $"concat/a part that is an input, {Describe(axis, features)}",
        Inputs =
        [
            CaseInput.Variable("a", new Shape(2, 16, 5, 7), Fills.Normal()),
            CaseInput.Variable("b", new Shape(2, 16, 5, 7), Fills.Normal()),
        ],
        Build = (graph, x) => [graph.Concat(axis, features ? graph.AsFeatures(x[0]) : x[0], Twice(graph, x[1], features))],
        Oracle = x => [SelectionOracles.Concat(axis, x[0], x[1].Map(value => 2 * value))],
        Outputs = [new("dst", Bound.Exact)],
        Gradient = Bound.Elementwise,
    };

    // Joined tensors inside a joined tensor, and cuts of it across their borders.
    private static OperationCase ConcatNested() => new()
    {
        Name = "concat/nested, cut again across the seams",
        Inputs =
        [
            CaseInput.Variable("a", new Shape(2, 16, 3, 5), Fills.Normal()),
            CaseInput.Variable("b", new Shape(2, 16, 3, 5), Fills.Normal()),
        ],
        Build = (graph, x) =>
        {
            Value a = Twice(graph, x[0], true);
            Value b = Twice(graph, x[1], true);
            Value pair = graph.Concat(Axis.Channel, a, b);
            Value batch = graph.Concat(Axis.Batch, pair, graph.Concat(Axis.Channel, b, a));
            return [graph.Slice(graph.Slice(batch, Axis.Batch, 1, 2), Axis.Channel, 16, 16)];
        },
        Oracle = x =>
        {
            Tensor a = x[0].Map(value => 2 * value);
            Tensor b = x[1].Map(value => 2 * value);
            Tensor batch = SelectionOracles.Concat(
                Axis.Batch, SelectionOracles.Concat(Axis.Channel, a, b), SelectionOracles.Concat(Axis.Channel, b, a));
            return [SelectionOracles.Slice(SelectionOracles.Slice(batch, Axis.Batch, 1, 2), Axis.Channel, 16, 16)];
        },
        Outputs = [new("dst", Bound.Exact)],
        Gradient = Bound.Elementwise,
    };

    private static OperationCase Slice(string what, Shape shape, Axis axis, int start, int length, bool features) => new()
    {
        Name = $"slice/{what}",
        Inputs = [CaseInput.Variable("src", shape, Fills.Normal())],
        Build = (graph, x) => [graph.Affine(graph.Slice(Twice(graph, x[0], features), axis, start, length), 0.5f)],
        Oracle = x => [SelectionOracles.Slice(x[0], axis, start, length)],
        Outputs = [new("dst", Bound.Exact)],
        Gradient = Bound.Elementwise,
        PerImage = axis == Axis.Channel,
    };

    private static OperationCase Embed(string what, Shape shape, Axis axis, int start, int total, bool features) => new()
    {
        Name = $"embed/{what}",
        Inputs = [CaseInput.Variable("src", shape, Fills.Normal())],
        Build = (graph, x) => [graph.ApplySingle(new Embed(axis, start, total), Twice(graph, x[0], features))],
        Oracle = x => [SelectionOracles.Embed(x[0].Map(value => 2 * value), axis, start, total)],
        Outputs = [new("dst", Bound.Exact)],
        Gradient = Bound.Elementwise,
        PerImage = axis == Axis.Channel,
    };

    private static OperationCase Relayout(int channels) => new()
    {
        Name = $"relayout/{channels} channels there and back",
        Inputs = [CaseInput.Variable("src", new Shape(2, channels, 33, 47), Fills.Normal())],
        Build = (graph, x) => [graph.AsFeatures(x[0]), graph.AsPlain(graph.Affine(graph.AsFeatures(x[0]), 2))],
        Oracle = x => [x[0], x[0].Map(value => 2 * value)],
        Outputs = [new("feature map", Bound.Exact), new("plain", Bound.Exact)],
        Gradient = Bound.Elementwise,
        PerImage = true,
    };

    // Rows are channel after channel, whatever the executor's layout of feature maps.
    private static OperationCase Flatten(Shape shape) => new()
    {
        Name = $"flatten/{shape}",
        Inputs = [CaseInput.Variable("src", shape, Fills.Normal())],
        Build = (graph, x) => [graph.Flatten(Twice(graph, x[0], features: true))],
        Oracle = x => [Rows(x[0].Map(value => 2 * value))],
        Outputs = [new("rows", Bound.Exact)],
        Gradient = Bound.Elementwise,
        PerImage = shape.N > 1,
    };

    // The images are a part of a larger tensor: whole ones can be seen as rows in place, some of the channels cannot.
    private static OperationCase FlattenPart(Axis axis, int start, int length) => new()
    {
        Name = $"flatten/part of the {(axis == Axis.Batch ? "images" : "channels")}",
        Inputs = [CaseInput.Variable("src", new Shape(3, 4, 5, 7), Fills.Normal())],
        Build = (graph, x) => [graph.Affine(graph.Flatten(graph.Slice(Twice(graph, x[0], false), axis, start, length)), 0.5f)],
        Oracle = x => [Rows(SelectionOracles.Slice(x[0], axis, start, length))],
        Outputs = [new("dst", Bound.Exact)],
        Gradient = Bound.Elementwise,
    };

    // Rows that lie in the images, cut again in both directions, and the images read beside them.
    private static OperationCase FlattenAndCut() => new()
    {
        Name = "flatten/cut again",
        Inputs = [CaseInput.Variable("src", new Shape(3, 4, 5, 7), Fills.Normal())],
        Build = (graph, x) =>
        {
            Value images = Twice(graph, x[0], false);
            Value rows = graph.Flatten(images);
            Value part = graph.Affine(graph.Slice(graph.Slice(rows, Axis.Batch, 1, 2), Axis.Channel, 30, 50), 0.5f);
            return [part, graph.Affine(images, 0.5f)];
        },
        Oracle = x => [SelectionOracles.Slice(SelectionOracles.Slice(Rows(x[0]), Axis.Batch, 1, 2), Axis.Channel, 30, 50), x[0]],
        Outputs = [new("part of the rows", Bound.Exact), new("images", Bound.Exact)],
        Gradient = Bound.Elementwise,
    };

    private static OperationCase Unflatten(Shape shape) => new()
    {
        Name = $"unflatten/{shape}",
        Inputs = [CaseInput.Variable("rows", new Shape(shape.N, shape.C * shape.H * shape.W), Fills.Normal())],
        Build = (graph, x) =>
        {
            Value doubled = graph.Affine(x[0], 2);
            TensorType images = TensorType.Features(new Shape(doubled.Shape.N, shape.C, shape.H, shape.W));
            return [graph.ApplySingle(new Unflatten(images), doubled)];
        },
        Oracle = x => [new Tensor(shape, ElementType.Float32, x[0].Map(value => 2 * value).Values)],
        Outputs = [new("images", Bound.Exact)],
        Gradient = Bound.Elementwise,
        PerImage = true,
    };

    // Both are row-major: only the shape changes.
    private static Tensor Rows(Tensor images) => new(new Shape(images.N, images.C * images.H * images.W), images.Element, images.Values);

    private static Value Twice(Graph graph, Value x, bool features) => graph.Affine(features ? graph.AsFeatures(x) : x, 2);

    private static string Describe(Axis axis, bool features) =>
        $"{(axis == Axis.Batch ? "images" : "channels")}, {(features ? "feature map" : "planar")}";
}
