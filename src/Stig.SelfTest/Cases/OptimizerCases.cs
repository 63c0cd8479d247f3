using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.SelfTest.Oracles;

namespace Stig.SelfTest.Cases;

/// <summary>Steps of optimizers, chained in one graph: every step reads what the one before it has updated in place.</summary>
internal static class OptimizerCases
{
    private const int Steps = 4;
    private const float Rate = 0.01f;

    private static readonly Bound Rounding = new(
        32 * Bound.Rounding, 64 * Bound.Rounding, "a handful of float32 roundings a step");

    public static IReadOnlyList<OperationCase> All { get; } =
    [
        Adam(new Shape(1), 1),
        Adam(new Shape(8, 3, 3, 3), 1),
        Adam(new Shape(48, 17), 1000),
        Sgd(new Shape(1), 0),
        Sgd(new Shape(8, 3, 3, 3), 0.9f),
    ];

    private static OperationCase Adam(Shape shape, int firstStep)
    {
        const double beta1 = 0.5;
        const double beta2 = 0.999;
        const double epsilon = 1e-8;
        return new OperationCase
        {
            Name = $"adam/{Steps} steps of {shape}, from step {firstStep}",
            Inputs =
            [
                CaseInput.State("weights", shape, Fills.Normal(0.1)),
                CaseInput.State("first moment", shape, firstStep == 1 ? Fills.Same(0) : Fills.Normal(0.5)),
                CaseInput.State("second moment", shape, firstStep == 1 ? Fills.Same(0) : Fills.Uniform(0.1, 1)),
                .. Enumerable.Range(0, Steps).Select(k => CaseInput.Constant($"gradient {k}", shape, Fills.Normal())),
                CaseInput.Constant("rate", Shape.Scalar, Fills.Given(Rate)),
                .. Enumerable.Range(0, Steps).Select(k => CaseInput.Constant($"step {k}", Shape.Scalar, Fills.Given(firstStep + k))),
            ],
            Build = (graph, x) =>
            {
                Value[] state = x[..3];
                for (int k = 0; k < Steps; k++)
                {
                    state = [.. graph.Apply(new Adam(beta1, beta2, epsilon), state[0], x[3 + k], state[1], state[2],
                        x[3 + Steps], x[4 + Steps + k])];
                }

                return state;
            },
            Oracle = x => OptimizerOracles.Adam(x[0], x[1], x[2], Rate, beta1, beta2, epsilon, firstStep, x[3..(3 + Steps)]),
            Outputs = [new("weights", Rounding), new("first moment", Rounding), new("second moment", Rounding)],
        };
    }

    private static OperationCase Sgd(Shape shape, float momentum) => new()
    {
        Name = $"sgd/{Steps} steps of {shape}, momentum {momentum}",
        Inputs =
        [
            CaseInput.State("weights", shape, Fills.Normal(0.1)),
            CaseInput.State("velocity", shape, Fills.Normal()),
            .. Enumerable.Range(0, Steps).Select(k => CaseInput.Constant($"gradient {k}", shape, Fills.Normal())),
            CaseInput.Constant("rate", Shape.Scalar, Fills.Given(Rate)),
        ],
        Build = (graph, x) =>
        {
            Value[] state = x[..2];
            for (int k = 0; k < Steps; k++)
            {
                state = [.. graph.Apply(new Sgd(momentum), state[0], x[2 + k], state[1], x[2 + Steps])];
            }

            return state;
        },
        Oracle = x => OptimizerOracles.Sgd(x[0], x[1], Rate, momentum, x[2..(2 + Steps)]),
        Outputs = [new("weights", Rounding), new("velocity", Rounding)],
    };
}
