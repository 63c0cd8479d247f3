using Stig.Model.Data;

namespace Stig.Model.Training;

/// <summary>A training run: where the images are, where the results go, how it is watched.</summary>
public sealed record TrainingRunOptions
{
    /// <summary>Folder of real images, searched recursively.</summary>
    public required string RealFolder { get; init; }

    /// <summary>Folder of fake images, searched recursively.</summary>
    public required string FakeFolder { get; init; }

    /// <summary>The run folder; made if it is not there.</summary>
    public required string OutputFolder { get; init; }

    /// <summary>What is trained and how. <see cref="TrainingOptions.Steps"/> 0 with <see cref="Epochs"/> means that many epochs.</summary>
    public required TrainingOptions Training { get; init; }

    /// <summary>Passes over the smaller folder, when that decides the number of steps; 0 otherwise.</summary>
    public int Epochs { get; init; }

    /// <summary>How images larger than the training size are brought to it; null for the way of the run that is resumed, or else
    /// <see cref="CropMode.Random"/>.</summary>
    public CropMode? Crop { get; init; }

    /// <summary>
    /// Images of each folder held out, whose spectral distance decides which step is the best; null for as many as the run that is resumed
    /// held out, or else a tenth of the smaller folder (2 to 32, none below 10 images); 0 for none.
    /// </summary>
    public int? Validation { get; init; }

    /// <summary>Device: "auto", "cpu" or "cuda:N".</summary>
    public string Device { get; init; } = "auto";

    /// <summary>Whether to go on from the run folder's last checkpoint.</summary>
    public bool Resume { get; init; }

    /// <summary>Steps between validations, sample sheets and checkpoints; 0 for those of the run that is resumed, or else a twentieth of the
    /// run, at least 50 steps.</summary>
    public long Interval { get; init; }

    /// <summary>Receives warnings; null drops them.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>Called after every step.</summary>
    public Action<TrainingProgress>? Progress { get; init; }
}

/// <summary>Where a training run stands.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Steps">Steps of the whole run.</param>
/// <param name="LearningRate">Rate of the last step.</param>
/// <param name="Losses">The last step's losses by name.</param>
/// <param name="SpectralDistance">Log-frequency distance on the validation part, when it was measured after this step.</param>
public sealed record TrainingProgress(
    long Step, long Steps, double LearningRate, IReadOnlyDictionary<string, float> Losses, double? SpectralDistance);

/// <summary>How a training run ended.</summary>
/// <param name="Steps">Steps done.</param>
/// <param name="Completed">False when it was cancelled; it can be resumed.</param>
/// <param name="LastCheckpoint">Path of the last checkpoint.</param>
/// <param name="BestCheckpoint">Path of the best checkpoint; null without a validation part.</param>
/// <param name="BestStep">Its step.</param>
/// <param name="BestDistance">Its log-frequency distance on the validation part.</param>
/// <param name="InputDistance">That of the validation part's fake images as they are.</param>
public sealed record TrainingResult(
    long Steps, bool Completed, string LastCheckpoint, string? BestCheckpoint, long BestStep, double? BestDistance, double? InputDistance);
