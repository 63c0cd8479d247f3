using System.Globalization;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.Model.Tests.Golden;

/// <summary>
/// Oracle: the gradients that the reference's optimizers used, and what they made of them (file 07b). The discrepancies of
/// the file compare whole trajectories, not steps, so the tolerances are those of a replay: the reference's README has 0.003
/// of the learning rate for one in float64, float32 weights and moments add a rounding a step, 2^-24 of a weight of some
/// tenths or 2e-8 = 0.0003 of the rate each.
/// </summary>
public sealed class GoldenAdamTests
{
    private const double ParameterBound = 0.01; // of the learning rate

    [Fact]
    public void Replayed_steps_match()
    {
        using GoldenFile file = GoldenFolder.Open("07b_adam_steps");
        var check = new GoldenCheck(file);
        var graph = new Graph();
        var adam = new Adam(file.Number("beta1"), file.Number("beta2"), file.Number("eps"));
        Value rate = graph.Input("rate", TensorType.Float());
        Value step = graph.Input("step", TensorType.Float());
        IReadOnlyList<string> names = file.Between("start.", "", dots: true);
        using CpuExecutor executor = new();
        using TensorStore store = executor.CreateStore();
        foreach (string name in names)
        {
            Shape shape = file.ShapeOf($"start.{name}");
            store.Create(name, shape, file.Floats($"start.{name}"));
            store.Create($"m.{name}", shape, new float[shape.Count]);
            store.Create($"v.{name}", shape, new float[shape.Count]);
            graph.Adam(adam, graph.Parameter(name, shape), graph.Input($"gradient.{name}", TensorType.Float(shape)),
                graph.Parameter($"m.{name}", shape), graph.Parameter($"v.{name}", shape), rate, step);
        }

        using Program program = executor.Compile(graph, store);
        foreach (string iteration in file.Between("iter", ".lr"))
        {
            int number = int.Parse(iteration, CultureInfo.InvariantCulture);
            program.Write<float>(rate, file.Floats($"iter{iteration}.lr"));
            program.Write<float>(step, [number]);
            foreach (string name in names)
            {
                program.Write<float>(graph.Inputs[$"gradient.{name}"], file.Floats($"iter{iteration}.grad.{name}"));
            }

            program.Run();
            var weights = new Tolerance(Measure.Largest, ParameterBound * file.Number("lr"));
            var moments = new Tolerance(Measure.RelativeL2, Tolerance.Floor);
            foreach (string name in names)
            {
                check.Tensor($"iter{iteration}.param.{name}", store.Read(name), weights);

                // Moments are stored for the first and the last step.
                if (file.Has($"iter{iteration}.exp_avg.{name}"))
                {
                    check.Tensor($"iter{iteration}.exp_avg.{name}", store.Read($"m.{name}"), moments);
                    check.Tensor($"iter{iteration}.exp_avg_sq.{name}", store.Read($"v.{name}"), moments);
                }
            }
        }

        check.Finish();
    }
}
