using System.Globalization;
using Stig.Model.Checkpoints;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Translation;

namespace Stig.Model.Training;

/// <summary>
/// The state of a training run on a device: weights and moments in a store, and the compiled step. It knows nothing of files and folders
/// but its checkpoints.
/// </summary>
internal sealed class TrainingSession : IDisposable
{
    private readonly Program program;
    private readonly TrainingGraph step;
    private readonly int[] random = new int[4];
    private readonly string[] losses;

    private TrainingSession(TrainingOptions options, Executor executor, TensorStore store, long completedSteps)
    {
        Options = options;
        Store = store;
        CompletedSteps = completedSteps;
        step = new TrainingGraph(options);
        losses = [.. step.LossNames.OrderBy(name => step.Values[name].Producer!.Index)];
        program = executor.Compile(step.Graph, store);
    }

    public TrainingOptions Options { get; }

    /// <summary>Weights, filter and moments.</summary>
    public TensorStore Store { get; }

    /// <summary>Steps behind the present weights.</summary>
    public long CompletedSteps { get; private set; }

    /// <summary>Learning rate of the last step.</summary>
    public double LearningRate { get; private set; }

    /// <summary>Names of the losses, in the order of the log.</summary>
    public IReadOnlyList<string> LossNames => [.. step.LossNames];

    /// <summary>Memory plan of the step, for reports.</summary>
    public MemoryPlan Plan => program.Plan;

    /// <summary>Starts a run: weights from the seed, the filter as given.</summary>
    public static TrainingSession Start(TrainingOptions options, Executor executor, ReadOnlySpan<float> filter)
    {
        TensorStore store = executor.CreateStore();
        Dictionary<string, ParameterSpec> specs = Checkpoint.ModelParameters(options.Architecture).Concat(TrainingGraph.Parameters(options))
            .DistinctBy(spec => spec.Name).ToDictionary(spec => spec.Name);
        foreach ((string name, Shape shape) in Checkpoint.TrainingTensors(options))
        {
            ReadOnlySpan<float> values = name == Translator.FilterName ? filter
                : specs.TryGetValue(name, out ParameterSpec? spec) ? spec.Initialize((ulong)options.Seed)
                : new float[shape.Count];
            store.Create(name, shape, values);
        }

        return new TrainingSession(options, executor, store, 0);
    }

    /// <summary>Goes on where a checkpoint stopped. The run may be given another length; its learning rate then follows the
    /// new one.</summary>
    /// <exception cref="CheckpointException">It was trained with other options than the given ones.</exception>
    public static TrainingSession Resume(string checkpointPath, Executor executor, TrainingOptions options)
    {
        TensorStore store = executor.CreateStore();
        try
        {
            CheckpointInfo info = Checkpoint.LoadTraining(checkpointPath, store);
            TrainingOptions? sameLength = info.Training is null ? null : info.Training with
            {
                Steps = options.Steps,
                Epochs = options.Epochs,
                StepsPerEpoch = options.StepsPerEpoch,
            };
            return sameLength == options
                ? new TrainingSession(options, executor, store, info.Step)
                : throw new CheckpointException(
                    $"{checkpointPath} was trained with other options than those given. Its own are: {info.Training}. "
                    + "Resume with the same options, or start a new run.");
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    /// <summary>One step on a batch, [B, 3, S, S] each in [0, 1].</summary>
    /// <exception cref="TrainingDivergedException">A loss, a gradient or an updated weight is not finite; the message names the first that
    /// was computed. The state is not to be kept.</exception>
    public void Run(ReadOnlySpan<float> real, ReadOnlySpan<float> fake)
    {
        LearningRate = LearningRateSchedule.At(Options, CompletedSteps);
        random[0] = (int)(Options.Seed & 0xffffffff);
        random[1] = (int)(Options.Seed >> 32);
        random[2] = (int)CompletedSteps;
        program.Write(step.Real, real);
        program.Write(step.Fake, fake);
        program.Write<float>(step.LearningRate, [(float)LearningRate]);
        program.Write<float>(step.Step, [CompletedSteps + 1]);
        program.Write<int>(step.Random!, random);
        try
        {
            program.Run();
        }
        catch (NotFiniteException exception)
        {
            // A loss that went wrong before is where its gradients have it from.
            ThrowUnlessFinite(exception.Node);
            throw Diverged(exception.Message);
        }

        ThrowUnlessFinite(null);
        CompletedSteps++;
    }

    /// <summary>A loss of the last step.</summary>
    public float Loss(string name) => program.ReadScalar(step.Values[name]);

    public void Dispose()
    {
        program.Dispose();
    }

    // Checks the losses in the order of their computation, up to the node that the run ended with; null for all.
    private void ThrowUnlessFinite(Node? end)
    {
        foreach (string name in losses.TakeWhile(name => end is null || step.Values[name].Producer!.Index < end.Index))
        {
            float loss = Loss(name);
            if (!float.IsFinite(loss))
            {
                throw Diverged(string.Create(CultureInfo.InvariantCulture, $"{name} is {loss}"));
            }
        }
    }

    private TrainingDivergedException Diverged(string what) => new($"Training stopped in step {CompletedSteps + 1}: {what}.");
}
