using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Bytes to values and back, on values that are clear of the places where rounding switches.</summary>
internal static class PixelCases
{
    public static IReadOnlyList<OperationCase> All { get; } =
    [
        Unpack(new Shape(2, 3, 33, 47)),
        Unpack(new Shape(1, 1, 1, 1)),
        Pack(PixelRounding.Nearest, new Shape(2, 3, 33, 47)),
        Pack(PixelRounding.Down, new Shape(2, 3, 33, 47)),
        Pack(PixelRounding.Nearest, new Shape(2, 1, 5, 7)),
        RoundTrip(PixelRounding.Nearest),
        RoundTrip(PixelRounding.Down),
    ];

    private static OperationCase Unpack(Shape shape) => new()
    {
        Name = $"unpack_pixels/{shape}",
        Inputs = [new CaseInput("bytes", TensorType.Bytes(shape), Fills.Bytes)],
        Build = (graph, x) => [graph.UnpackPixels(x[0])],
        Oracle = x => [PixelOracles.Unpack(x[0])],
        Outputs = [new("image", Bound.Exact)],
        PerImage = shape.N > 1,
    };

    private static OperationCase Pack(PixelRounding rounding, Shape shape) => new()
    {
        Name = $"pack_pixels/{rounding}, {shape}".ToLowerInvariant(),
        Inputs = [CaseInput.Constant("image", shape, Fills.ClearOfRounding)],
        Build = (graph, x) => [graph.PackPixels(x[0], rounding)],
        Oracle = x => [PixelOracles.Pack(x[0], rounding)],
        Outputs = [new("bytes", Bound.Exact)],
        PerImage = true,
    };

    // Every byte survives, even when 255 (v / 255) is rounded down.
    private static OperationCase RoundTrip(PixelRounding rounding) => new()
    {
        Name = $"pack_pixels/{rounding}, every byte comes back".ToLowerInvariant(),
        Inputs = [new CaseInput("bytes", TensorType.Bytes(new Shape(2, 3, 16, 16)), Fills.Bytes)],
        Build = (graph, x) => [graph.PackPixels(graph.UnpackPixels(x[0]), rounding)],
        Oracle = x => [x[0]],
        Outputs = [new("bytes", Bound.Exact)],
        PerImage = true,
    };
}
