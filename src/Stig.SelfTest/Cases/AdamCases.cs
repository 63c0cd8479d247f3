using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Steps of Adam, chained in one graph: every step reads what the one before it has updated in place.</summary>
internal static class AdamCases
{
    private static readonly Bound Steps = new(
        32 * Bound.Rounding, 64 * Bound.Rounding, "a handful of float32 roundings a step; 1 - beta^t loses digits for small t");

    public static IReadOnlyList<OperationCase> All { get; } = [Steps4(new Shape(1), 1), Steps4(new Shape(8, 3, 3, 3), 1), Steps4(new Shape(48, 17), 1000)];

    private static OperationCase Steps4(Shape shape, int firstStep)
    {
        const int steps = 4;
        const float beta1 = 0.5f;
        const float beta2 = 0.999f;
        const float epsilon = 1e-8f;
        const float rate = 0.01f;
        return new OperationCase
        {
            Name = $"adam/{steps} steps of {shape}, from step {firstStep}",
            Inputs =
            [
                CaseInput.State("weights", shape, Fills.Normal(0.1)),
                CaseInput.State("first moment", shape, firstStep == 1 ? Fills.Same(0) : Fills.Normal(0.5)),
                CaseInput.State("second moment", shape, firstStep == 1 ? Fills.Same(0) : Fills.Uniform(0.1, 1)),
                .. Enumerable.Range(0, steps).Select(k => CaseInput.Constant($"gradient {k}", shape, Fills.Normal())),
                CaseInput.Constant("rate", Shape.Scalar, Fills.Given(rate)),
                .. Enumerable.Range(0, steps).Select(k => CaseInput.Constant($"step {k}", Shape.Scalar, Fills.Given(firstStep + k))),
            ],
            Build = (graph, x) =>
            {
                Value[] state = x[..3];
                for (int k = 0; k < steps; k++)
                {
                    state = [.. graph.Apply(new Adam(beta1, beta2, epsilon), state[0], x[3 + k], state[1], state[2], x[3 + steps], x[4 + steps + k])];
                }

                return state;
            },
            Oracle = x => AdamOracle.Run(x[0], x[1], x[2], rate, beta1, beta2, epsilon, firstStep, x[3..(3 + steps)]),
            Outputs = [new("weights", Steps), new("first moment", Steps), new("second moment", Steps)],
        };
    }
}
