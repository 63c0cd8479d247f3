using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Steps of gradient descent with momentum, chained in one graph: every step reads what the one before it has updated in place.</summary>
internal static class SgdCases
{
    public static IReadOnlyList<OperationCase> All { get; } = [Steps(new Shape(1), 0), Steps(new Shape(8, 3, 3, 3), 0.9f), Steps(new Shape(48, 17), 0.9f)];

    private static OperationCase Steps(Shape shape, float momentum)
    {
        const int steps = 4;
        const float rate = 0.01f;
        return new OperationCase
        {
            Name = $"sgd/{steps} steps of {shape}, momentum {momentum}",
            Inputs =
            [
                CaseInput.State("weights", shape, Fills.Normal(0.1)),
                CaseInput.State("velocity", shape, Fills.Same(0)),
                .. Enumerable.Range(0, steps).Select(k => CaseInput.Constant($"gradient {k}", shape, Fills.Normal())),
                CaseInput.Constant("rate", Shape.Scalar, Fills.Given(rate)),
            ],
            Build = (graph, x) =>
            {
                Value[] state = x[..2];
                for (int k = 0; k < steps; k++)
                {
                    state = [.. graph.Apply(new Sgd(momentum), state[0], x[2 + k], state[1], x[2 + steps])];
                }

                return state;
            },
            Oracle = x => SgdOracle.Run(x[0], x[1], rate, momentum, x[2..(2 + steps)]),
            Outputs = [new("weights", Bound.Elementwise), new("velocity", Bound.Elementwise)],
        };
    }
}
