namespace Stig.Model.Training;

/// <summary>Trains a model on two folders of images into a run folder.</summary>
public static class TrainingRun
{
    /// <summary>Runs until the last step, or until cancelled, in which case the step at hand is finished and saved.</summary>
    public static TrainingResult Run(TrainingRunOptions options, CancellationToken cancellation = default) =>
        throw new NotSupportedException($"{options} {cancellation}");
}
