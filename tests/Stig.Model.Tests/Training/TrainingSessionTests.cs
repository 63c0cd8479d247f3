using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Randomness;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Training;

public sealed class TrainingSessionTests
{
    // Oracle: Kingma and Ba 2015, algorithm 1, from the moments that the step leaves, in float64. A wrong count of steps is off by 7 % in the
    // fourth. Tolerance: the weights' rounding, and of the update the rounding of a few operations, of which the quotient's cancellation in
    // 1 - beta^t is the worst (2^-24 / 0.001).
    [Fact]
    public void Every_step_moves_the_weights_by_Adams_formula()
    {
        TrainingOptions options = TrainingOptions.For(Preset.Official) with { Size = 32, Width = 4, Steps = 4, LearningRate = 1e-3 };
        using var executor = new CpuExecutor();
        using TrainingSession session = TrainingSession.Start(options, executor, new Dictionary<string, float[]>());
        string[] names = [.. session.Store.Shapes.Keys
            .Where(name => name.StartsWith(TrainingGraph.FirstMomentPrefix, StringComparison.Ordinal))
            .Select(name => name[TrainingGraph.FirstMomentPrefix.Length..])];
        Assert.Contains("generator.final.weight", names);
        float[] real = new float[3 * options.Size * options.Size], fake = new float[real.Length];
        for (int t = 1; t <= options.Steps; t++)
        {
            Fill(real, $"real {t}");
            Fill(fake, $"fake {t}");
            Dictionary<string, float[]> before = names.ToDictionary(name => name, session.Store.Read);
            session.Run(real, fake);

            foreach (string name in names)
            {
                float[] first = session.Store.Read(TrainingGraph.FirstMomentPrefix + name), second = session.Store.Read(TrainingGraph.SecondMomentPrefix + name);
                float[] after = session.Store.Read(name);
                for (int i = 0; i < after.Length; i++)
                {
                    double moment = first[i] / (1 - Math.Pow(options.Beta1, t)), variance = second[i] / (1 - Math.Pow(options.Beta2, t));
                    double update = session.LearningRate * moment / (Math.Sqrt(variance) + options.Epsilon);
                    double expected = before[name][i] - update;
                    double tolerance = (Math.Abs(expected) * 1.2e-7) + (1e-4 * Math.Abs(update));
                    Assert.True(Math.Abs(after[i] - expected) <= tolerance, $"step {t}, {name}[{i}]: {after[i]} instead of {expected}");
                }
            }
        }
    }

    private static void Fill(float[] image, string name)
    {
        var random = new CounterRandom(1, name);
        for (int i = 0; i < image.Length; i++)
        {
            image[i] = (float)random.Uniform(i);
        }
    }
}
