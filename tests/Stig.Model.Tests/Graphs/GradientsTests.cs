using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Graphs;

/// <summary>
/// Reverse-mode differentiation of whole graphs against gradients worked out by hand; single operations have their own cases.
/// </summary>
public sealed class GradientsTests
{
    private const int Seed = 5;

    // A handful of float32 roundings.
    private const double Tolerance = 1e-6;

    // y = x^2, loss = mean((y + 3 y x)^2), y used twice: d/dx mean((x^2 + 3 x^3)^2) = 2 (x^2 + 3 x^3) (2 x + 9 x^2) / n.
    [Fact]
    public void Shared_subexpression_collects_the_gradients_of_all_its_uses()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(7));
        Value y = graph.Multiply(x, x);
        Value loss = graph.MeanSquaredError(graph.Add(y, graph.Affine(graph.Multiply(y, x), 3)), 0);
        graph.Output("gradient", Gradients.Of(loss, [x])[0]!);
        double[] expected =
        [
            .. Harness.Draw(x, Seed).Select(v => (double)v).Select(v => 2 * ((v * v) + (3 * v * v * v)) * ((2 * v) + (9 * v * v)) / 7),
        ];
        AssertClose(expected, Harness.Run(graph, Seed, out _)["gradient"]);
    }

    [Fact]
    public void Value_that_the_loss_does_not_depend_on_has_no_gradient()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(7));
        Value unused = graph.Input("unused", TensorType.Float(7));
        Value beside = graph.Affine(x, 2);
        Value loss = graph.MeanSquaredError(x, 0);
        IReadOnlyList<Value?> gradients = Gradients.Of(loss, [unused, x, beside]);
        Assert.Null(gradients[0]);
        Assert.NotNull(gradients[1]);
        Assert.Null(gradients[2]);
    }

    [Fact]
    public void Gradient_of_an_intermediate_value_stops_there()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(7));
        Value y = graph.Affine(x, 3);
        Value loss = graph.MeanSquaredError(y, 0);
        graph.Output("gradient", Gradients.Of(loss, [y])[0]!);
        double[] expected = [.. Harness.Draw(x, Seed).Select(v => 2.0 * 3 * v / 7)];
        AssertClose(expected, Harness.Run(graph, Seed, out _)["gradient"]);
    }

    // loss = mean(w'^2) after an update of w to w': no gradient flows through the optimizer's step to w or to the gradient it took.
    [Fact]
    public void Updated_parameter_is_a_constant()
    {
        var graph = new Graph();
        Value w = graph.Parameter("w", new Shape(4));
        Value step = graph.Input("step", TensorType.Float(4));
        Value updated = graph.Adam(
            new Adam(0.9, 0.999, 1e-8), w, step, graph.Parameter("m", w.Shape), graph.Parameter("v", w.Shape),
            graph.Fill(Shape.Scalar, 0.1f), graph.Fill(Shape.Scalar, 1));
        Value loss = graph.MeanSquaredError(updated, 0);
        IReadOnlyList<Value?> gradients = Gradients.Of(loss, [w, step, updated]);
        Assert.Null(gradients[0]);
        Assert.Null(gradients[1]);
        Assert.NotNull(gradients[2]);
    }

    // Seeds add up: sum(a x) and sum(b x^2) together have the gradient a + 2 b x.
    [Fact]
    public void Several_seeds_add_up()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(7));
        Value a = graph.Input("a", TensorType.Float(7));
        Value b = graph.Input("b", TensorType.Float(7));
        Value square = graph.Multiply(x, x);
        graph.Output("gradient", Gradients.Of([(graph.Affine(x, 1), a), (square, b)], [x])[0]!);
        float[] vx = Harness.Draw(x, Seed);
        float[] va = Harness.Draw(a, Seed);
        float[] vb = Harness.Draw(b, Seed);
        double[] expected = [.. Enumerable.Range(0, 7).Select(i => va[i] + (2.0 * vb[i] * vx[i]))];
        AssertClose(expected, Harness.Run(graph, Seed, out _)["gradient"]);
    }

    [Fact]
    public void Loss_that_is_no_scalar_is_an_error()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(7));
        GraphException error = Assert.Throws<GraphException>(() => Gradients.Of(x, [x]));
        Assert.Equal("x float32[7] is no scalar.", error.Message);
    }

    [Fact]
    public void Operation_without_a_gradient_is_an_error_that_names_the_node()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 3, 5, 7));
        Value[] statistics = [.. Enumerable.Range(0, 4).Select(i => graph.Input($"s{i}", TensorType.Float(3)))];
        Value result;
        using (graph.Scope("generator"))
        {
            result = graph.ApplySingle(new RunningNormalization(1e-5f, 0), [x, .. statistics]);
        }

        GraphException error = Assert.Throws<GraphException>(() => Gradients.Of(graph.MeanSquaredError(result, 0), [x]));
        Assert.Equal("normalization_running has no gradient (asked for at generator/normalization_running).", error.Message);
    }

    // The extremes of a range normalisation are constants to its gradient rule; asking for more must not pass silently.
    [Fact]
    public void Gradient_through_an_output_that_is_a_constant_to_its_rule_is_an_error()
    {
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(2, 7));
        Value low = graph.RangeNormalize(x, perImage: true).Lo;
        GraphException error = Assert.Throws<GraphException>(() => Gradients.Of(graph.MeanSquaredError(low, 0), [x]));
        Assert.Contains("output 1 of range_normalize is a constant to its gradient rule", error.Message, StringComparison.Ordinal);
    }

    private static void AssertClose(double[] expected, float[] actual) =>
        Assert.True(
            Harness.Distance(actual, Array.ConvertAll(expected, v => (float)v)) <= Tolerance,
            $"expected {string.Join(", ", expected)}, got {string.Join(", ", actual)}");
}
