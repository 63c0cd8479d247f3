using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Pooling, on inputs without ties so that every window has one maximum, and up-sampling.</summary>
internal static class ResampleCases
{
    private static readonly Bound Interpolation = new(16 * Bound.Rounding, 16 * Bound.Rounding, "sixteen products, of weights up to 1.4");

    private static readonly Bound Average = new(16 * Bound.Rounding, 16 * Bound.Rounding, "three sums of values that may cancel");

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        .. from shape in new Shape[] { new(1, 1, 2, 2), new(2, 3, 34, 46), new(2, 5, 6, 10), new(2, 8, 6, 10), new(3, 13, 6, 10), new(2, 16, 6, 10), new(3, 48, 2, 6) }
           select MaxPool(shape),
        .. from shape in new[] { new Shape(1, 1, 2, 2), new Shape(2, 3, 34, 46), new Shape(2, 16, 6, 10), new Shape(3, 48, 2, 6) }
           select AveragePool(shape),
        Ties(new Shape(2, 3, 6, 10)),
        Ties(new Shape(2, 16, 6, 10)),
        .. from shape in new Shape[] { new(1, 1, 1, 1), new(2, 3, 33, 47), new(2, 5, 3, 7), new(2, 8, 2, 5), new(3, 13, 5, 3), new(2, 16, 5, 7), new(3, 48, 3, 1) }
           select Bicubic(shape),
    ];

    private static OperationCase MaxPool(Shape shape) => new()
    {
        Name = $"max_pool/{shape}",
        Inputs = [CaseInput.Variable("src", shape, Fills.Distinct(-2, 2))],
        Build = (graph, x) => [graph.MaxPool2x2(Layout(graph, x[0]))],
        Oracle = x => [ResampleOracles.MaxPool(x[0])],
        Outputs = [new("dst", Bound.Exact)],
        Gradient = Bound.Elementwise,
        PerImage = shape.N > 1,
    };

    private static OperationCase AveragePool(Shape shape) => new()
    {
        Name = $"average_pool/{shape}",
        Inputs = [CaseInput.Variable("src", shape, Fills.Normal())],
        Build = (graph, x) => [graph.AveragePool2x2(Layout(graph, x[0]))],
        Oracle = x => [ResampleOracles.AveragePool(x[0])],
        Outputs = [new("dst", Average)],
        Gradient = Bound.Elementwise,
        PerImage = shape.N > 1,
    };

    // Small integers: most windows have a tie.
    private static OperationCase Ties(Shape shape) => new()
    {
        Name = $"max_pool_backward/ties, {shape}",
        Inputs =
        [
            CaseInput.Constant("src", shape, Fills.Integers(-1, 1)),
            CaseInput.Constant("gradient", new Shape(shape.N, shape.C, shape.H / 2, shape.W / 2), Fills.Normal()),
        ],
        Build = (graph, x) => [graph.ApplySingle(new MaxPool2x2Backward(), Layout(graph, x[0]), Layout(graph, x[1]))],
        Oracle = x => [ResampleOracles.MaxPoolBackward(x[0], x[1])],
        Outputs = [new("gradient of src", Bound.Exact)],
        PerImage = true,
    };

    private static OperationCase Bicubic(Shape shape) => new()
    {
        Name = $"bicubic_up2/{shape}",
        Inputs = [CaseInput.Variable("src", shape, Fills.Normal())],
        Build = (graph, x) => [graph.BicubicUp2(Layout(graph, x[0]))],
        Oracle = x => [ResampleOracles.BicubicUp2(x[0])],
        Outputs = [new("dst", Interpolation)],
        Gradient = Interpolation,
        PerImage = shape.N > 1,
    };

    private static Value Layout(Graph graph, Value x) => x.Shape.C > 3 ? graph.AsFeatures(x) : x;
}
