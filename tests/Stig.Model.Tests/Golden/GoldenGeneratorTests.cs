using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Execution.Cuda;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;
using Stig.Tests;

namespace Stig.Model.Tests.Golden;

/// <summary>Oracle: the reference's generator (file 02). Tolerance: <see cref="Tolerance"/>.</summary>
public sealed class GoldenGeneratorTests : GeneratorReference
{
    [Fact]
    public void Running_statistics_after_a_forward_pass_match()
    {
        using GoldenFile file = GoldenFolder.Open("02_generator");
        var check = new GoldenCheck(file);
        const string suffix = ".buffers_after_forward.conv0_0.bn1.running_mean";
        foreach (string example in file.Between("train_", suffix))
        {
            using Evaluation run = new(file.Floats);
            Value input = run.Input(file, $"input_{example}");
            NestedUNet generator = Generator(file);
            string after = $"train_{example}.buffers_after_forward.";
            run.Read(generator.Apply(run.Graph, input, NormalizationMode.Batch, trackRunning: true), _ => { });
            run.Run();
            foreach (ParameterSpec buffer in generator.Parameters().Where(spec => !spec.Trained))
            {
                check.Tensor($"{after}{buffer.Name[generator.Prefix.Length..]}", run.Parameter(buffer.Name));
                Assert.Equal(file.Integers(Counter(buffer.Name)).Single() + RunningCounts.Of(run.Graph, buffer.Name),
                    file.Integers($"{after}{Counter(buffer.Name)[generator.Prefix.Length..]}").Single());
            }
        }

        check.Finish();
    }

    [Fact]
    public void Gradients_match()
    {
        using GoldenFile file = GoldenFolder.Open("02_generator");
        var check = new GoldenCheck(file);
        foreach (string example in file.Between("train_", ".grad_input"))
        {
            using Evaluation run = new(file.Floats);
            Value input = run.Input(file, $"input_{example}");
            Value output = Generator(file).Apply(run.Graph, input, NormalizationMode.Batch);
            Value cotangent = run.Graph.Affine(run.Input(file, $"train_{example}.cotangent"), 1f / output.Shape.Count);

            // Parameter gradients are stored where no switch is near.
            bool parameters = file.Has($"train_{example}.grad.generator.final.weight");
            run.ExpectGradients(check, output, cotangent,
                [($"train_{example}.grad_input", input), .. run.Graph.Parameters.Values.Where(_ => parameters)
                    .Select(parameter => ($"train_{example}.grad.{parameter.Name}", parameter))]);
            run.Run();
        }

        check.Finish();
    }

    private protected override Executor Open() => new CpuExecutor();

    private static string Counter(string buffer) => buffer[..(buffer.LastIndexOf('.') + 1)] + "num_batches_tracked";
}

/// <summary>The same on the CUDA executor, forward.</summary>
[Collection(OneDeviceTestAtATime.Name)]
public sealed class CudaGoldenGeneratorTests : GeneratorReference
{
    private protected override Executor Open()
    {
        SimulatedCuda.Require();
        return new CudaExecutor(0);
    }
}

/// <summary>The comparisons of the forward pass, for each executor.</summary>
public abstract class GeneratorReference
{
    [Fact]
    public void Output_and_features_with_batch_statistics_match()
    {
        using GoldenFile file = GoldenFolder.Open("02_generator");
        var check = new GoldenCheck(file);
        NestedUNet generator = Generator(file);
        foreach (string example in file.Between("input_", ""))
        {
            using Evaluation run = new(file.Floats, executor: Open());
            Value input = run.Input(file, $"input_{example}");
            Value output = generator.Apply(run.Graph, input, NormalizationMode.Batch);
            run.Expect(check, $"train_{example}.output", output);
            Value[] features = generator.Encode(run.Graph, input, NestedUNet.Levels, NormalizationMode.Batch);
            foreach ((int level, Value feature) in features.Index())
            {
                run.Expect(check, $"train_{example}.feature{level}", feature);
            }

            float[] cotangent = file.Floats($"train_{example}.cotangent");
            run.Read(output, values => check.Tensor($"train_{example}.scalar",
                [(float)values.Zip(cotangent, (value, factor) => (double)value * factor).Average()]));
            run.Run();
        }

        check.Finish();
    }

    [Fact]
    public void Output_with_running_statistics_matches()
    {
        using GoldenFile file = GoldenFolder.Open("02_generator");
        var check = new GoldenCheck(file);
        foreach (string example in file.Between("input_", ""))
        {
            using Evaluation run = new(file.Floats, executor: Open());
            Value input = run.Input(file, $"input_{example}");
            run.Expect(check, $"eval_{example}.output", Generator(file).Apply(run.Graph, input, NormalizationMode.Running));
            run.Run();
        }

        check.Finish();
    }

    private protected abstract Executor Open();

    internal static NestedUNet Generator(GoldenFile file) => new(file.ShapeOf("generator.final.weight")[1]);
}
