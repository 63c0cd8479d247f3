using Stig.Model.Checkpoints;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Graphs;
using Stig.Model.Operations;
using Stig.Model.Training;
using Stig.Model.Translation;

namespace Stig.Model.Tests.Training;

/// <summary>Numbers that are not finite end a run in the step in which they arise, by name, and reach no checkpoint.</summary>
public sealed class DivergenceTests : IDisposable
{
    private readonly SyntheticRun synthetic = new();

    public void Dispose() => synthetic.Dispose();

    // One bad value anywhere, at lengths around those of vectors (16 floats) and of the pieces that threads take (16384).
    [Theory]
    [InlineData(float.NaN, "gradient")]
    [InlineData(float.PositiveInfinity, "gradient")]
    [InlineData(float.NegativeInfinity, "gradient")]
    [InlineData(1e30f, "gradient")]
    [InlineData(1e18f, null)]
    public void Adam_finds_a_bad_gradient_wherever_it_is(float bad, string? named)
    {
        foreach (int count in (int[])[1, 15, 16, 17, 16384, 16385, 40001])
        {
            using var adam = new AdamProgram(count);
            foreach (int at in (int[])[0, count / 2, count - 1])
            {
                adam.Gradient[at] = bad;
                Assert.Equal(named, adam.Run() is NotFiniteException exception ? Word(exception.Message) : null);
                adam.Gradient[at] = 0.5f;
                adam.Restore();
            }

            Assert.Null(adam.Run());
        }
    }

    // A first moment that stands while the second is small gives an update beyond all floats.
    [Fact]
    public void Adam_finds_weights_that_overflow()
    {
        using var adam = new AdamProgram(100);
        float[] moment = new float[100];
        moment[37] = 3e38f;
        adam.Store.Write("m", moment);
        Array.Clear(adam.Gradient);

        Assert.Equal("w: the updated weights are not finite", adam.Run()!.Message);
    }

    [Fact]
    public void A_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_weights()
    {
        // A learning rate this large blows the weights up within a step or two.
        TrainingRunOptions options = synthetic.Options(Preset.Official, "run", steps: 50);
        options = options with { Training = options.Training with { LearningRate = 1e30 }, Validation = 0, Interval = 1000 };

        TrainingDivergedException exception = Assert.Throws<TrainingDivergedException>(() => TrainingRun.Run(options));

        Assert.Matches(@"^Training stopped in step \d: loss_\w+ is (NaN|-?Infinity)\. The last good weights are in ", exception.Message);
        Assert.Equal(0, Checkpoint.ReadInfo(Path.Combine(synthetic["run"], "last.safetensors")).Step);
    }

    // Finite losses: features this small, times this much, are normalised, and the gradient of the small factor is beyond what float
    // squares. The step after three good ones stops, naming that parameter; its file is that of the last good step.
    [Fact]
    public void A_gradient_that_is_not_finite_stops_the_run_and_is_named()
    {
        TrainingRunOptions options = synthetic.Options(Preset.Official, "run", steps: 3) with { Validation = 0, Interval = 1000 };
        string last = TrainingRun.Run(options).LastCheckpoint;
        Change(last, "mlp.mlp_0.0.weight", value => value * 1e-25f);
        Change(last, "mlp.mlp_0.0.bias", _ => 0f);
        Change(last, "mlp.mlp_0.2.bias", _ => 0f);
        Change(last, "mlp.mlp_0.2.weight", value => value * 1e20f);
        byte[] before = File.ReadAllBytes(last);

        TrainingDivergedException exception = Assert.Throws<TrainingDivergedException>(
            () => TrainingRun.Run(options with { Resume = true, Training = options.Training with { Steps = 6 } }));

        Assert.StartsWith("Training stopped in step 4: mlp.mlp_0.0.weight: the gradient ", exception.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(last));
    }

    // The running statistics of the normalisation take no part in the losses of training, so only saving can notice them.
    [Fact]
    public void A_checkpoint_with_a_value_that_is_not_finite_is_not_written()
    {
        string last = TrainingRun.Run(synthetic.Options(Preset.Official, "run", steps: 1)).LastCheckpoint;
        byte[] before = File.ReadAllBytes(last);
        using var executor = new CpuExecutor();
        using TensorStore store = executor.CreateStore();
        CheckpointInfo info = Checkpoint.LoadTraining(last, store);
        const string name = "generator.conv0_0.bn1.running_var";
        store.Write(name, [1f, 2f, float.NaN, 4f]);

        TrainingDivergedException exception = Assert.Throws<TrainingDivergedException>(() => Checkpoint.Save(last, info, store));

        Assert.Contains($"{name} holds NaN", exception.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(last));
        Assert.Empty(Directory.GetFiles(synthetic["run"], "*.tmp"));
    }

    private static string Word(string message) => message.Split(' ')[2];

    private static void Change(string checkpoint, string tensor, Func<float, float> change)
    {
        using var executor = new CpuExecutor();
        using TensorStore store = executor.CreateStore();
        CheckpointInfo info = Checkpoint.LoadTraining(checkpoint, store);
        store.Write(tensor, [.. store.Read(tensor).Select(change)]);
        Checkpoint.Save(checkpoint, info, store);
    }

    /// <summary>A graph of nothing but one update.</summary>
    private sealed class AdamProgram : IDisposable
    {
        private readonly CpuExecutor executor = new();
        private readonly Program program;
        private readonly Value gradient;

        public AdamProgram(int count)
        {
            Gradient = new float[count];
            Array.Fill(Gradient, 0.5f);
            Store = executor.CreateStore();
            var graph = new Graph();
            gradient = graph.Input("gradient", TensorType.Float(count));
            Value rate = graph.Input("rate", TensorType.Float()), step = graph.Input("step", TensorType.Float());
            Value[] parameters = [.. ((string[])["w", "m", "v"]).Select(name => graph.Parameter(name, new Shape(count)))];
            foreach (Value parameter in parameters)
            {
                Store.Create(parameter.Name, parameter.Shape, new float[count]);
            }

            graph.Adam(new Adam(0.5, 0.999, 1e-8), parameters[0], gradient, parameters[1], parameters[2], rate, step);
            program = executor.Compile(graph, Store);
            program.Write<float>(rate, [1e-3f]);
            program.Write<float>(step, [1]);
        }

        public float[] Gradient { get; }

        public TensorStore Store { get; }

        public Exception? Run()
        {
            program.Write<float>(gradient, Gradient);
            return Record.Exception(program.Run);
        }

        public void Restore()
        {
            foreach (string name in Store.Shapes.Keys)
            {
                Store.Write(name, new float[Gradient.Length]);
            }
        }

        public void Dispose()
        {
            program.Dispose();
            Store.Dispose();
            executor.Dispose();
        }
    }
}
