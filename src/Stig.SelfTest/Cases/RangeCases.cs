using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>
/// Min-max scaling. Where gradients are compared with differences the values are distinct, so that minimum and maximum are single elements;
/// ties have a case of their own, against the formula.
/// </summary>
internal static class RangeCases
{
    private static readonly Bound Extremes = new(
        32 * Bound.Rounding, 64 * Bound.Rounding,
        "the gradients of minimum and maximum are sums over the tensor, then a handful of roundings");

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        .. from perImage in new[] { true, false }
           from shape in new[] { new Shape(1, 1, 5, 7), new Shape(2, 3, 6, 5), new Shape(3, 3, 33, 47), new Shape(3, 24) }
           select Normalize(perImage, shape),
        .. from perImage in new[] { true, false }
           select Constant(perImage),
        .. from perImage in new[] { true, false }
           select Ties(perImage),
        .. from single in new[] { true, false }
           select Denormalize(single),
    ];

    private static OperationCase Normalize(bool perImage, Shape shape) => new()
    {
        Name = $"range_normalize/{Describe(perImage)}, {shape}",
        Inputs = [CaseInput.Variable("src", shape, Fills.Distinct(-1, 5))],
        Build = (graph, x) =>
        {
            (Value normalized, Value low, Value high) = graph.RangeNormalize(x[0], perImage, 2, -1);
            return [normalized, low, high];
        },
        Oracle = x => RangeOracles.Normalize(x[0], perImage, 2, -1),
        Outputs = [new("dst", Bound.Elementwise), new("lo", Bound.Exact), new("hi", Bound.Exact)],
        Gradient = Extremes,
        PerImage = perImage && shape.N > 1,
    };

    private static OperationCase Constant(bool perImage) => new()
    {
        Name = $"range_normalize/{Describe(perImage)}, constant input",
        Inputs =
        [
            CaseInput.Constant("src", new Shape(2, 3, 5, 7), Fills.Same(0.3)),
            CaseInput.Constant("gradient", new Shape(2, 3, 5, 7), Fills.Normal()),
        ],
        Build = (graph, x) =>
        {
            (Value normalized, Value low, Value high) = graph.RangeNormalize(x[0], perImage, 2, -1);
            return [normalized, low, high, graph.ApplySingle(new RangeNormalizeBackward(perImage, 2), x[0], low, high, x[1])];
        },
        Oracle = x => [.. RangeOracles.Normalize(x[0], perImage, 2, -1), new Tensor(x[0].Shape)],
        Outputs = [new("dst", Bound.Exact), new("lo", Bound.Exact), new("hi", Bound.Exact), new("gradient of src", Bound.Exact)],
    };

    // Small integers: many elements attain the minimum, many the maximum.
    private static OperationCase Ties(bool perImage) => new()
    {
        Name = $"range_normalize_backward/{Describe(perImage)}, ties",
        Inputs =
        [
            CaseInput.Constant("src", new Shape(2, 3, 5, 7), Fills.Integers(-1, 2)),
            CaseInput.Constant("gradient", new Shape(2, 3, 5, 7), Fills.Normal()),
        ],
        Build = (graph, x) =>
        {
            (_, Value low, Value high) = graph.RangeNormalize(x[0], perImage, 2, -1);
            return [graph.ApplySingle(new RangeNormalizeBackward(perImage, 2), x[0], low, high, x[1])];
        },
        Oracle = x =>
        {
            Tensor[] normalized = RangeOracles.Normalize(x[0], perImage, 2, -1);
            return [RangeOracles.NormalizeBackward(x[0], normalized[1], normalized[2], x[1], 2)];
        },
        Outputs = [new("gradient of src", Extremes)],
    };

    private static OperationCase Denormalize(bool single) => new()
    {
        Name = $"range_denormalize/{(single ? "one range for all" : "a range an image")}",
        Inputs =
        [
            CaseInput.Variable("src", new Shape(3, 3, 5, 7), Fills.Uniform(-1, 1)),
            CaseInput.Constant("lo", new Shape(single ? 1 : 3, 1), Fills.Uniform(-1, 0)),
            CaseInput.Constant("hi", new Shape(single ? 1 : 3, 1), Fills.Uniform(3, 7)),
        ],
        Build = (graph, x) => [graph.RangeDenormalize(x[0], x[1], x[2], 2, -1)],
        Oracle = x => [RangeOracles.Denormalize(x[0], x[1], x[2], 2, -1)],
        Outputs = [new("dst", Bound.Elementwise)],
        Gradient = Bound.Elementwise,
        PerImage = true,
    };

    private static string Describe(bool perImage) => perImage ? "per image" : "whole batch";
}
