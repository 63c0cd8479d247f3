using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.SelfTest.Tests;

/// <summary>The checks themselves: a case whose oracle, bound or promise is wrong on purpose must fail, and say why.</summary>
public sealed class OperationChecksTests
{
    private static readonly Bound Tight = Bound.Elementwise;

    [Fact]
    public void A_correct_case_passes() => Assert.Empty(Failures(Doubled()));

    [Fact]
    public void A_wrong_result_fails() =>
        Assert.Contains(
            Failures(Doubled() with { Oracle = x => [x[0].Map(value => 2.001 * value)] }),
            message => message.StartsWith("dst: relative", StringComparison.Ordinal));

    [Fact]
    public void One_wrong_element_among_many_fails()
    {
        OperationCase wrong = Doubled() with
        {
            Oracle = x =>
            {
                Tensor result = x[0].Map(value => 2 * value);
                result.Values[^1] += 1e-4;
                return [result];
            },
        };
        Assert.Contains(Failures(wrong), message => message.StartsWith("dst: relative", StringComparison.Ordinal));
    }

    [Fact]
    public void A_result_of_zeros_has_its_own_message() =>
        Assert.Contains(
            "dst: is all zeros, the oracle is not",
            Failures(Doubled() with { Build = (graph, x) => [graph.Affine(x[0], 0)], Gradient = null }));

    [Fact]
    public void A_result_that_is_not_finite_fails() =>
        Assert.Contains(
            Failures(Doubled() with { Build = (graph, x) => [graph.Affine(x[0], float.NaN)], Gradient = null, PerImage = false }),
            message => message.Contains("not finite", StringComparison.Ordinal));

    // (5, 7): all coordinates; (33, 47): a sample of coordinates and random directions. The graph computes 2 x + 0.001 x y, the oracle 2 x:
    // they agree for y = 0 and differ for y = 1.
    [Theory]
    [InlineData(5, 7)]
    [InlineData(33, 47)]
    public void A_wrong_gradient_fails(int height, int width)
    {
        var shape = new Shape(2, 3, height, width);
        OperationCase wrong = Doubled(height, width) with
        {
            Build = (graph, x) => [graph.Add(graph.Affine(x[0], 2), graph.Affine(graph.Multiply(x[0], x[1]), 0.001f))],
            Inputs = [CaseInput.Variable("src", shape, Fills.Normal()), CaseInput.Constant("zeros", shape, Fills.Same(0))],
        };
        Assert.Empty(Failures(wrong));
        OperationCase shifted = wrong with { Inputs = [wrong.Inputs[0], CaseInput.Constant("ones", shape, Fills.Same(1))] };
        Assert.Contains(Failures(shifted), message => message.StartsWith("gradient of src", StringComparison.Ordinal));
    }

    [Fact]
    public void A_dependence_between_images_fails()
    {
        OperationCase broken = new()
        {
            Name = "range_normalize over the batch that promises independent images",
            Inputs = [CaseInput.Variable("src", new Shape(2, 1, 5, 7), Fills.Distinct(0, 1))],
            Build = (graph, x) => [graph.RangeNormalize(x[0], perImage: false).Normalized],
            Oracle = x => [Oracles.RangeOracles.Normalize(x[0], false, 1, 0)[0]],
            Outputs = [new("dst", Tight)],
            PerImage = true,
        };
        Assert.Contains(Failures(broken), message => message.Contains("alone gives other bytes", StringComparison.Ordinal));
    }

    private static OperationCase Doubled(int height = 5, int width = 7) => new()
    {
        Name = $"doubled {height} x {width}",
        Inputs = [CaseInput.Variable("src", new Shape(2, 3, height, width), Fills.Normal())],
        Build = (graph, x) => [graph.Affine(x[0], 2)],
        Oracle = x => [x[0].Map(value => 2 * value)],
        Outputs = [new("dst", Tight)],
        Gradient = Tight,
        PerImage = true,
    };

    private static IReadOnlyList<string> Failures(OperationCase operation)
    {
        using var executor = new CpuExecutor();
        return OperationChecks.Run(executor, operation).Failures;
    }
}
