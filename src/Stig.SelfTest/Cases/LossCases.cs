using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Scalar losses.</summary>
internal static class LossCases
{
    private static readonly Bound Sum =
        new(16 * Bound.Rounding, 16 * Bound.Rounding, "a mean over the tensor, accumulated better than in plain float32");

    private static readonly Bound Similarity = new(
        4e-6, 1e-5,
        "variances are differences of windowed means of squares: where those are float32, their rounding counts against C2 = 9e-4");

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        MeanSquaredError("planar", new Shape(2, 1, 33, 47), 1, false),
        MeanSquaredError("rows", new Shape(2, 1), 0, false),
        MeanSquaredError("single value", new Shape(1, 1), 1, false),
        MeanSquaredError("feature map", new Shape(3, 16, 5, 7), 0.5f, true),
        LowFrequency(new Shape(1, 1, 2, 2), 1),
        LowFrequency(new Shape(2, 3, 7, 9), 2),
        LowFrequency(new Shape(2, 3, 33, 47), 8),
        EqualSpectra(),
        StructuralSimilarity(new Shape(1, 1, 1, 1)),
        StructuralSimilarity(new Shape(2, 3, 5, 7)),
        StructuralSimilarity(new Shape(1, 3, 18, 3)),
        StructuralSimilarity(new Shape(2, 1, 40, 37)),
        EqualImages(),
        CrossEntropy(1, 1, 1),
        CrossEntropy(5, 2, 1),
        CrossEntropy(33, 17, 1),
        CrossEntropy(3, 2, 100),
    ];

    private static OperationCase MeanSquaredError(string what, Shape shape, float target, bool features) => new()
    {
        Name = $"mse/{what}",
        Inputs = [CaseInput.Variable("src", shape, Fills.Normal())],
        Build = (graph, x) => [graph.MeanSquaredError(features ? graph.AsFeatures(x[0]) : x[0], target)],
        Oracle = x => [Tensor.Scalar(LossOracles.MeanSquaredError(x[0], target))],
        Outputs = [new("loss", Sum)],
        Gradient = Bound.Elementwise,
    };

    private static OperationCase LowFrequency(Shape shape, int radius) => new()
    {
        Name = $"low_frequency/radius {radius} of {shape}",
        Inputs = [CaseInput.Variable("a", shape, Fills.Normal()), CaseInput.Variable("b", shape, Fills.Normal())],
        Build = (graph, x) => [graph.LowFrequencyDistance(x[0], x[1], radius)],
        Oracle = x => [Tensor.Scalar(LossOracles.LowFrequencyDistance(x[0], x[1], radius))],
        Outputs = [new("loss", Sum)],
        Gradient = Sum,
    };

    // The square root has no derivative at 0; the gradient is 0 there by definition, not NaN.
    private static OperationCase EqualSpectra() => new()
    {
        Name = "low_frequency_backward/equal spectra",
        Inputs =
        [
            CaseInput.Constant("a", new Shape(1, 3, 7, 9), Fills.Normal()),
            CaseInput.Constant("gradient", Shape.Scalar, Fills.Same(1)),
        ],
        Build = (graph, x) =>
        {
            Value loss = graph.LowFrequencyDistance(x[0], x[0], 2);
            return [loss, graph.ApplySingle(new LowFrequencyDistanceBackward(2), x[0], x[0], loss, x[1])];
        },
        Oracle = x => [Tensor.Scalar(0), new Tensor(x[0].Shape)],
        Outputs = [new("loss", Bound.Exact), new("gradient of a", Bound.Exact)],
    };

    private static OperationCase StructuralSimilarity(Shape shape) => new()
    {
        Name = $"ssim/{shape}",
        Inputs = [CaseInput.Variable("a", shape, Fills.Uniform(0, 1)), CaseInput.Variable("b", shape, Fills.Uniform(0, 1))],
        Build = (graph, x) => [graph.StructuralSimilarity(x[0], x[1])],
        Oracle = x => [Tensor.Scalar(LossOracles.StructuralSimilarity(x[0], x[1]))],
        Outputs = [new("similarity", Similarity)],
        Gradient = Similarity,
    };

    // Logits of a hundred and more: their exponentials overflow in float32 unless the largest is taken out first.
    private static OperationCase CrossEntropy(int rows, int classes, double deviation) => new()
    {
        Name = $"cross_entropy/{rows} rows of {classes} classes, deviation {deviation}",
        Inputs =
        [
            CaseInput.Variable("logits", new Shape(rows, classes), Fills.Normal(deviation)),
            new CaseInput("labels", TensorType.Integers(rows),
                (random, _) => [.. Enumerable.Range(0, rows).Select(_ => random.Next(classes))]),
        ],
        Build = (graph, x) => [graph.CrossEntropy(x[0], x[1])],
        Oracle = x => [Tensor.Scalar(LossOracles.CrossEntropy(x[0], x[1]))],
        Outputs = [new("loss", Bound.Transcendental)],
        Gradient = Bound.Transcendental,
    };

    private static OperationCase EqualImages() => new()
    {
        Name = "ssim/an image with itself",
        Inputs = [CaseInput.Constant("a", new Shape(1, 3, 20, 11), Fills.Uniform(0, 1))],
        Build = (graph, x) => [graph.StructuralSimilarity(x[0], x[0])],
        Oracle = _ => [Tensor.Scalar(1)],
        Outputs = [new("similarity", Bound.Elementwise)],
    };
}
