using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Convolutions with windows, strides and sizes that leave tails, and fully connected layers.</summary>
internal static class ConvolutionCases
{
    /// <summary>Bounds of direct convolutions.</summary>
    public static IReadOnlyList<OperationCase> Direct { get; } = [.. Convolutions(winograd: false), .. Linears()];

    /// <summary>The same convolutions with the bounds of an executor that may use Winograd's algorithm.</summary>
    public static IReadOnlyList<OperationCase> Winograd { get; } = [.. Convolutions(winograd: true)];

    private static IEnumerable<OperationCase> Convolutions(bool winograd)
    {
        // In order: what, images, channels in and out, height and width, window, stride, padding, bias.
        (string What, int N, int In, int Out, int H, int W, int K, int S, int P, bool Bias)[] list =
        [
            ("3x3, one channel to three", 1, 1, 3, 5, 7, 3, 1, 1, true),
            ("3x3, 3 to 8 channels, batch", 2, 3, 8, 9, 11, 3, 1, 1, true),
            ("3x3, 16 to 16 channels, odd size", 2, 16, 16, 9, 11, 3, 1, 1, true),
            ("3x3, 13 to 5 channels, odd size", 2, 13, 5, 9, 11, 3, 1, 1, true),
            ("1x1, 29 to 13 channels without bias", 1, 29, 13, 5, 7, 1, 1, 0, false),
            ("3x3, 16 to 48 channels without bias", 1, 16, 48, 8, 6, 3, 1, 1, false),
            ("3x3, 48 to 16 channels", 3, 48, 16, 7, 5, 3, 1, 1, true),
            ("3x3, 8 to 16 channels", 2, 8, 16, 10, 10, 3, 1, 1, true),
            ("3x3, 16 to 1 channels", 2, 16, 1, 5, 9, 3, 1, 1, true),
            ("3x3, 3 to 16 channels, 33 x 47", 1, 3, 16, 33, 47, 3, 1, 1, true),
            ("3x3, 16 to 16 channels, 33 x 47", 1, 16, 16, 33, 47, 3, 1, 1, true),
            ("3x3 stride 2, odd size", 2, 3, 16, 33, 47, 3, 2, 1, true),
            ("3x3 stride 2, 16 to 48 channels, odd size", 2, 16, 48, 9, 7, 3, 2, 1, true),
            ("3x3 stride 2, even size", 1, 16, 16, 8, 12, 3, 2, 1, true),
            ("4x4 stride 2, 3 to 16 channels", 2, 3, 16, 10, 14, 4, 2, 1, true),
            ("4x4, 16 to 1 channels", 1, 16, 1, 7, 9, 4, 1, 1, true),
            ("1x1, 16 to 3 channels", 2, 16, 3, 9, 11, 1, 1, 0, true),
            ("1x1, 3 to 1 channels without bias", 2, 3, 1, 5, 7, 1, 1, 0, false),
            ("1x1, 48 to 16 channels, single pixel", 2, 48, 16, 1, 1, 1, 1, 0, true),
            ("3x3 without padding, window as large as the image", 2, 3, 8, 3, 3, 3, 1, 0, true),
        ];
        return list.Select(c => Convolution(c.What, c.N, c.In, c.Out, c.H, c.W, c.K, c.S, c.P, c.Bias, winograd)).Append(Joined(winograd));
    }

    // Results that executors may lay into the joined map at once, where other results lie between their pixels.
    private static OperationCase Joined(bool winograd)
    {
        const int Channels = 16, Products = 9 * Channels;
        return new OperationCase
        {
            Name = $"conv2d{(winograd ? " with Winograd" : "")}/results joined",
            Inputs =
            [
                CaseInput.Variable("src", new Shape(2, Channels, 9, 11), Fills.Normal()),
                CaseInput.Weights("weights a", new Shape(Channels, Channels, 3, 3), Fills.Normal(1 / Math.Sqrt(Products))),
                CaseInput.Weights("bias a", new Shape(Channels), Fills.Normal()),
                CaseInput.Weights("weights b", new Shape(2 * Channels, Channels, 1, 1), Fills.Normal(1 / Math.Sqrt(Channels))),
            ],
            Build = (graph, x) =>
            {
                Value src = graph.AsFeatures(x[0]);
                return [graph.Concat(Axis.Channel, graph.Conv2d(src, x[1], x[2], 1, 1), graph.Conv2d(src, x[3], null, 1, 0))];
            },
            Oracle = x => [SelectionOracles.Concat(Axis.Channel, ConvolutionOracles.Conv2d(x[0], x[1], x[2], 1, 1), ConvolutionOracles.Conv2d(x[0], x[3], null, 1, 0))],
            Outputs = [new("dst", Loosened(Bound.Accumulation(Products, "3 x 3 x 16 products"), winograd))],
            Gradient = Loosened(Bound.Accumulation(2 * 9 * 11, "all pixels"), winograd),
            PerImage = true,
        };
    }

    private static OperationCase Convolution(
        string what, int images, int inputChannels, int outputChannels, int height, int width, int window, int stride,
        int padding, bool bias, bool winograd)
    {
        int products = window * window * inputChannels;
        int pixels = images * (height / stride) * (width / stride);
        bool features = inputChannels > 8;
        return new OperationCase
        {
            Name = $"conv2d{(winograd ? " with Winograd" : "")}/{what}",
            Inputs =
            [
                CaseInput.Variable("src", new Shape(images, inputChannels, height, width), Fills.Normal()),
                CaseInput.Weights(
                    "weights", new Shape(outputChannels, inputChannels, window, window), Fills.Normal(1 / Math.Sqrt(products))),
                .. bias ? [CaseInput.Weights("bias", new Shape(outputChannels), Fills.Normal())] : Array.Empty<CaseInput>(),
            ],
            Build = (graph, x) => [graph.Conv2d(features ? graph.AsFeatures(x[0]) : x[0], x[1], bias ? x[2] : null, stride, padding)],
            Oracle = x => [ConvolutionOracles.Conv2d(x[0], x[1], bias ? x[2] : null, stride, padding)],
            Outputs = [new("dst", Loosened(Bound.Accumulation(products, $"{window} x {window} x {inputChannels} products"), winograd))],
            Gradient = Loosened(
                Bound.Accumulation(
                    Math.Max(window * window * outputChannels, pixels),
                    "the window times the output channels (data), or all pixels (weights)"),
                winograd),
            PerImage = images > 1,
        };
    }

    private static IEnumerable<OperationCase> Linears() =>
        from shape in new (int Rows, int In, int Out)[] { (1, 1, 1), (1, 23, 1), (2, 3, 8), (3, 48, 17), (67, 33, 47), (3, 1728, 1) }
        select new OperationCase
        {
            Name = $"linear/{shape.Rows} rows, {shape.In} to {shape.Out}",
            Inputs =
            [
                CaseInput.Variable("src", new Shape(shape.Rows, shape.In), Fills.Normal()),
                CaseInput.Weights("weights", new Shape(shape.Out, shape.In), Fills.Normal(1 / Math.Sqrt(shape.In))),
                CaseInput.Weights("bias", new Shape(shape.Out), Fills.Normal()),
            ],
            Build = (graph, x) => [graph.Linear(x[0], x[1], x[2])],
            Oracle = x => [ConvolutionOracles.Linear(x[0], x[1], x[2])],
            Outputs = [new("dst", Bound.Accumulation(shape.In, $"{shape.In} products"))],
            Gradient = Bound.Accumulation(Math.Max(shape.Rows, shape.Out), "the rows or the output channels"),
        };

    private static Bound Loosened(Bound bound, bool winograd) => !winograd ? bound : new Bound(
        16 * bound.RelativeL2, 16 * bound.Maximum,
        $"{bound.Reason}; Winograd F(4x4, 3x3) multiplies by constants between 1/24 and 8, which amplify rounding about ten times");
}
