using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Fill, affine map, sum, product, sum over the batch, roll, activations.</summary>
internal static class ElementwiseCases
{
    public static IReadOnlyList<OperationCase> All { get; } =
    [
        Filled(Shape.Scalar),
        Filled(new Shape(2, 3, 5, 7)),
        Affine("scalar", Shape.Scalar, false),
        Affine("planar, odd size", new Shape(2, 3, 33, 47), false),
        Affine("feature map", new Shape(2, 48, 5, 7), true),
        Affine("feature map of 13 channels", new Shape(2, 13, 5, 7), true),
        .. Binary("add", (graph, a, b) => graph.Add(a, b), (a, b) => a + b),
        .. Binary("multiply", (graph, a, b) => graph.Multiply(a, b), (a, b) => a * b),
        Square(),
        SumBatch("images", new Shape(3, 3, 5, 7), new Shape(1, 3, 5, 7), false),
        SumBatch("rows", new Shape(3, 13), new Shape(13), false),
        SumBatch("feature map", new Shape(3, 16, 5, 7), new Shape(1, 16, 5, 7), true),
        Roll(0, 1),
        Roll(1, 0),
        Roll(-1, -2),
        Roll(4, 7),
        .. from features in new[] { false, true }
           from slope in new[] { 0f, 0.2f, 1f }
           select Activation(
               $"leaky ReLU, slope {slope}", ActivationKind.LeakyRelu, slope, features, Fills.AwayFromZero,
               x => ElementwiseOracles.LeakyRelu(x, slope)),
        .. from features in new[] { false, true }
           select Activation("sigmoid", ActivationKind.Sigmoid, 0, features, Fills.Normal(3), ElementwiseOracles.Sigmoid),
        .. from features in new[] { false, true }
           select Activation("symmetric sigmoid", ActivationKind.SymmetricSigmoid, 0, features, Fills.Normal(3),
               ElementwiseOracles.SymmetricSigmoid),
        .. from features in new[] { false, true }
           select Activation("unit clamp", ActivationKind.UnitClamp, 0, features, Fills.AwayFromUnitEnds, ElementwiseOracles.UnitClamp),
        .. from channels in new[] { 1, 5, 13 }
           select Activation(
               $"leaky ReLU, slope 0.1, {channels} channels", ActivationKind.LeakyRelu, 0.1f, true, Fills.AwayFromZero,
               x => ElementwiseOracles.LeakyRelu(x, 0.1f), channels),
        Saturation(),
    ];

    private static OperationCase Filled(Shape shape) => new()
    {
        Name = $"fill/{shape}",
        Inputs = [],
        Build = (graph, _) => [graph.Fill(shape, -1.25f)],
        Oracle = _ => [new Tensor(shape).Map(_ => -1.25)],
        Outputs = [new("dst", Bound.Exact)],
    };

    private static OperationCase Affine(string what, Shape shape, bool features) => new()
    {
        Name = $"affine/{what}",
        Inputs = [CaseInput.Variable("src", shape, Fills.Normal())],
        Build = (graph, x) => [graph.Affine(Layout(graph, x[0], features), -1.7f, 0.3f)],
        Oracle = x => [x[0].Map(value => (-1.7f * value) + 0.3f)],
        Outputs = [new("dst", Bound.Elementwise)],
        Gradient = Bound.Elementwise,
        PerImage = shape.N > 1,
    };

    private static IEnumerable<OperationCase> Binary(
        string name, Func<Graph, Value, Value, Value> apply, Func<double, double, double> function) =>
        from shapes in new (string What, Shape A, Shape B, bool Features)[]
        {
            ("scalars", Shape.Scalar, Shape.Scalar, false),
            ("planar, odd size", new Shape(2, 3, 33, 47), new Shape(2, 3, 33, 47), false),
            ("planar, one image for all", new Shape(3, 3, 5, 7), new Shape(1, 3, 5, 7), false),
            ("planar, one image without batch axis", new Shape(2, 3, 5, 7), new Shape(3, 5, 7), false),
            ("rows, one for all", new Shape(3, 17), new Shape(17), false),
            ("feature map", new Shape(2, 16, 5, 7), new Shape(2, 16, 5, 7), true),
            ("feature map, one image for all", new Shape(3, 48, 3, 5), new Shape(1, 48, 3, 5), true),
            ("feature map of 13 channels", new Shape(2, 13, 5, 7), new Shape(2, 13, 5, 7), true),
            ("feature map of 5 channels, one image for all", new Shape(3, 5, 3, 5), new Shape(1, 5, 3, 5), true),
        }
        select new OperationCase
        {
            Name = $"{name}/{shapes.What}",
            Inputs = [CaseInput.Variable("a", shapes.A, Fills.Normal()), CaseInput.Variable("b", shapes.B, Fills.Normal())],
            Build = (graph, x) => [apply(graph, Layout(graph, x[0], shapes.Features), Layout(graph, x[1], shapes.Features))],
            Oracle = x => [ElementwiseOracles.Combine(x[0], x[1], function)],
            Outputs = [new("dst", Bound.Elementwise)],
            Gradient = Bound.Elementwise,
            PerImage = shapes.A.N > 1,
        };

    // One value as both operands: the gradients of the two uses add up.
    private static OperationCase Square() => new()
    {
        Name = "multiply/a value by itself",
        Inputs = [CaseInput.Variable("a", new Shape(2, 3, 5, 7), Fills.Normal())],
        Build = (graph, x) => [graph.Multiply(x[0], x[0])],
        Oracle = x => [x[0].Map(value => value * value)],
        Outputs = [new("dst", Bound.Elementwise)],
        Gradient = Bound.Elementwise,
        PerImage = true,
    };

    private static OperationCase SumBatch(string what, Shape from, Shape to, bool features) => new()
    {
        Name = $"sum_batch/{what}",
        Inputs = [CaseInput.Variable("src", from, Fills.Normal())],
        Build = (graph, x) => [graph.ApplySingle(new SumBatch(to), Layout(graph, x[0], features))],
        Oracle = x => [ElementwiseOracles.SumBatch(x[0], to)],
        Outputs = [new("dst", Bound.Elementwise)],
        Gradient = Bound.Elementwise,
    };

    private static OperationCase Roll(int images, int channels) => new()
    {
        Name = $"roll/{images} images, {channels} channels",
        Inputs = [CaseInput.Variable("src", new Shape(3, 3, 5, 7), Fills.Normal())],
        Build = (graph, x) => [graph.Roll(x[0], images, channels)],
        Oracle = x => [ElementwiseOracles.Roll(x[0], images, channels)],
        Outputs = [new("dst", Bound.Exact)],
        Gradient = Bound.Elementwise,
    };

    private static OperationCase Activation(
        string what, ActivationKind kind, float slope, bool features, InputFill fill, Func<double, double> function, int channels = 16) => new()
        {
            Name = $"activation/{what}, {(features ? "feature map" : "planar")}",
            Inputs = [CaseInput.Variable("src", features ? new Shape(2, channels, 5, 7) : new Shape(2, 3, 33, 47), fill)],
            Build = (graph, x) => [graph.ApplySingle(new Activation(kind, slope), Layout(graph, x[0], features))],
            Oracle = x => [x[0].Map(function)],
            Outputs = [new("dst", Bound.Transcendental)],
            Gradient = Bound.Transcendental,
            PerImage = true,
        };

    // exp overflows in float32 beyond 88: the function must end in its limits all the same.
    private static OperationCase Saturation() => new()
    {
        Name = "activation/sigmoid of large arguments",
        Inputs = [CaseInput.Constant("src", new Shape(5), Fills.Given(-200, -100, 0, 100, 200))],
        Build = (graph, x) => [graph.Sigmoid(x[0]), graph.SymmetricSigmoid(x[0])],
        Oracle = x => [x[0].Map(ElementwiseOracles.Sigmoid), x[0].Map(ElementwiseOracles.SymmetricSigmoid)],
        Outputs = [new("sigmoid", Bound.Transcendental), new("symmetric sigmoid", Bound.Transcendental)],
    };

    private static Value Layout(Graph graph, Value x, bool features) => features ? graph.AsFeatures(x) : x;
}
